"""Until: wait for what another process brings about, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["until"]

T = TypeVar("T")

DEADLINE_S = 60.0


def until(look: Callable[[], T | None]) -> T:
    """Return the first thing *look* finds; fail if it finds none in a minute."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {DEADLINE_S:.0f} s")
