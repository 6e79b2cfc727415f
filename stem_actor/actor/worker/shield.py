"""Shield: a block of a handler that interruptions wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

__all__ = ["Shield", "ShieldCount"]


class ShieldCount:
    """
    How many shields of one start are up, and until when they hold.

    Attributes:
        is_pending: Whether an interruption was held back.
    """

    __slots__ = ("_depth", "_until_ns", "is_pending", "strike")

    def __init__(self, strike: Callable[[], None]) -> None:
        """*strike* delivers what was held back, once the last shield is left."""
        self._depth = 0
        self._until_ns = 0
        self.is_pending = False
        self.strike = strike

    def holds_ns(self) -> int:
        """Return for how long the shields still hold; 0: there is none."""
        if not self._depth:
            return 0
        return max(0, self._until_ns - time.monotonic_ns())

    def raise_(self, at_most_ns: int) -> None:
        """One more is up. An inner one cannot make an outer one last longer."""
        end_ns = time.monotonic_ns() + at_most_ns
        self._until_ns = min(self._until_ns, end_ns) if self._depth else end_ns
        self._depth += 1

    def lower(self) -> bool:
        """One less is up; True if that was the last, and something was held back."""
        self._depth -= 1
        if self._depth or not self.is_pending:
            return False
        self.is_pending = False
        return True


class Shield:
    """One such block."""

    __slots__ = ("_at_most_ns", "_count")

    def __init__(self, count: ShieldCount, at_most_ns: int) -> None:
        self._count = count
        self._at_most_ns = at_most_ns

    def __enter__(self) -> None:
        self._count.raise_(self._at_most_ns)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._count.lower():
            self._count.strike()
