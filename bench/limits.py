"""Limits that are met: how late, at what cost, and beside those of other systems."""

from __future__ import annotations

from bench import limits_compared, limits_cost, limits_lateness
from bench.harness import Effort, Figure, Sheet

__all__ = ["measure"]


def measure(effort: Effort) -> list[Figure | Sheet]:
    """Return the lateness of our limits, what they cost, and the comparison."""
    # The comparison last: it makes threads, and a host with threads may not fork.
    return [
        *limits_lateness.measure(effort),
        *limits_cost.measure(effort),
        *limits_compared.measure(effort),
    ]
