"""Shield: a block of a handler that interruptions wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

__all__ = ["Shield", "ShieldCount"]


class ShieldCount:
    """
    The shields of one start that are up, and until when they hold.

    Attributes:
        is_pending: Whether an interruption was held back.
        strike: Delivers what was held back, once the last shield is left.
    """

    __slots__ = ("_ends_ns", "is_pending", "strike")

    def __init__(self, strike: Callable[[], None]) -> None:
        self._ends_ns: list[int] = []
        self.is_pending = False
        self.strike = strike

    def holds_ns(self) -> int:
        """
        Return for how long the shields still hold; 0: there is none.

        The earliest end counts: an inner one cannot make an outer one last longer.
        """
        if not self._ends_ns:
            return 0
        return max(0, min(self._ends_ns) - time.monotonic_ns())

    def raise_(self, at_most_ns: int) -> int:
        """One more is up; returns its end, to lower it by."""
        end_ns = time.monotonic_ns() + at_most_ns
        self._ends_ns.append(end_ns)
        return end_ns

    def lower(self, end_ns: int) -> bool:
        """
        The one with *end_ns* is left; True if that was the last, and something was
        held back. Not the newest: threads and coroutines leave in an order of theirs.
        """
        self._ends_ns.remove(end_ns)
        if self._ends_ns or not self.is_pending:
            return False
        self.is_pending = False
        return True


class Shield:
    """One such block; it may be entered again."""

    __slots__ = ("_at_most_ns", "_count", "_ends_ns")

    def __init__(self, count: ShieldCount, at_most_ns: int) -> None:
        self._count = count
        self._at_most_ns = at_most_ns
        self._ends_ns: list[int] = []

    def __enter__(self) -> None:
        self._ends_ns.append(self._count.raise_(self._at_most_ns))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._count.lower(self._ends_ns.pop()):
            self._count.strike()
