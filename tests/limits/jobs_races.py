"""Handlers that end at their limit, as exactly as a sleep can."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

#: The limit of each of them, and how long it runs but for some milliseconds.
LIMIT_S: Final = 0.010


def race(path: str, number: int, late: float) -> int:
    """Say so, then sleep until the limit and *late* milliseconds more."""
    _say(path, number)
    time.sleep(LIMIT_S + late / 1000)
    return number


async def arace(path: str, number: int, late: float) -> int:
    """``race``, beside others in the same process."""
    _say(path, number)
    await asyncio.sleep(LIMIT_S + late / 1000)
    return number


def _say(path: str, number: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(fd, f"{number}\n".encode())
    os.close(fd)


HANDLERS: Final = (
    (race, {"name": "soft", "soft_time_limit": LIMIT_S}),
    (arace, {"name": "soft_coroutine", "soft_time_limit": LIMIT_S}),
    (race, {"name": "hard", "hard_time_limit": LIMIT_S}),
    (race, {"name": "soft_retried", "soft_time_limit": LIMIT_S, "max_retries": 2}),
)
