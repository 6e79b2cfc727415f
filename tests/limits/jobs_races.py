"""Handlers that end at their limit, as exactly as a sleep can."""

from __future__ import annotations

import os
import time
from typing import Final


def race(path: str, number: int, late: float) -> int:
    """Say so, then sleep for 10 ms and *late* milliseconds more."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(fd, f"start {number}\n".encode())
    os.close(fd)
    time.sleep(0.010 + late / 1000)
    return number


HANDLERS: Final = ((race, {"name": "race", "soft_time_limit": 0.010}),)
