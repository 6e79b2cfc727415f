"""How many workers may fail to come up before the next has to wait."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RestartBudget"]

#: OTP's restart intensity.
_DEATHS: Final = 10
_WITHIN_NS: Final = 60 * 10**9
_BACK_OFF_MIN_NS: Final = 10**9
_BACK_OFF_MAX_NS: Final = 60 * 10**9


class RestartBudget:
    """Ten deaths a minute are free; each one more doubles the pause, up to a minute."""

    def __init__(self) -> None:
        self._deaths: deque[int] = deque(maxlen=_DEATHS + 1)
        self._pause_ns = 0

    def spend(self, now_ns: int) -> int:
        """
        Count one death at *now_ns* (monotonic).

        Returns:
            Nanoseconds before another worker may be asked for; 0 if at once.
        """
        self._deaths.append(now_ns)
        recent = sum(now_ns - at < _WITHIN_NS for at in self._deaths)
        if recent <= _DEATHS:
            self._pause_ns = 0
        else:
            doubled = 2 * self._pause_ns or _BACK_OFF_MIN_NS
            self._pause_ns = min(doubled, _BACK_OFF_MAX_NS)
        return self._pause_ns
