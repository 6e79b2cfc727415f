"""Report: what a worker says of one start."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Report"]


class Report(NamedTuple):
    """
    What a worker reports of one start.

    Attributes:
        kind: SUCCEEDED, FAILED, CANCELLED or RETRY of ``ring.producer.Kind``.
        payload: Its wire form, see ``tasks.outcome``.
        delay_ns: For RETRY: how long from now the next attempt waits at least.
    """

    kind: int
    payload: bytes
    delay_ns: int = 0
