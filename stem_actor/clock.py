"""Clocks: the only way into time for code that decides something."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock", "VirtualClock"]


class Clock(Protocol):
    """
    Two readings of time, both in integer nanoseconds.

    Deadlines, delays and limits are measured with ``monotonic_ns``; ``wall_ns`` is
    only for what is stored or shown, because it may jump.
    """

    def monotonic_ns(self) -> int:
        """Return nanoseconds of CLOCK_MONOTONIC, the clock the C core reads too."""
        ...

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970-01-01T00:00Z."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()


class VirtualClock:
    """A clock that stands still until it is told to advance; for tests."""

    __slots__ = ("_monotonic_ns", "_wall_ns")

    def __init__(
        self,
        *,
        monotonic_ns: int = 0,
        wall_ns: int = 1_767_225_600_000_000_000,  # 2026-01-01T00:00Z
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def wall_ns(self) -> int:
        return self._wall_ns

    def advance(self, by_ns: int) -> None:
        """
        Move both readings forward by *by_ns* nanoseconds.

        Raises:
            ValueError: If *by_ns* is negative; time does not run backwards.
        """
        if by_ns < 0:
            raise ValueError(f"by_ns must be >= 0, not {by_ns}")
        self._monotonic_ns += by_ns
        self._wall_ns += by_ns
