"""Limits: how late they end a task, and what it costs a task to carry them."""

from __future__ import annotations

from bench import limits_cost, limits_lateness
from bench.harness import Effort, Figure, Sheet

__all__ = ["measure"]


def measure(effort: Effort) -> list[Figure | Sheet]:
    """Return the lateness of both limits case by case, then their cost."""
    return [*limits_lateness.measure(effort), *limits_cost.measure(effort)]
