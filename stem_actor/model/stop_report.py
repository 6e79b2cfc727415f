"""StopReport: what stopping an app came to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StopReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReport:
    """
    What stopping an app came to.

    Attributes:
        finished: Tasks that ended while it drained.
        handed_back: Started tasks that were interrupted and wait for another start.
        cancelled: Tasks of an anonymous ring that had not started.
        unstarted: Tasks of a named ring that wait for the next start.
        duration: Seconds that it took.
    """

    finished: int = 0
    handed_back: int = 0
    cancelled: int = 0
    unstarted: int = 0
    duration: float = 0.0
