"""One handler for each way in which a start can end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Final

from stem_actor import TaskRetryPolicy
from tests.limits.jobs import say

_FOREVER_S: Final = 60.0
_MB: Final = 1 << 20


def pid() -> int:
    return os.getpid()


def work(seconds: float, megabytes: int) -> int:
    """Use processor time and memory, and return."""
    data = bytearray(os.urandom(4096)) * (megabytes * 256)
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return len(data)


def fail() -> None:
    time.sleep(0.02)
    raise ValueError("wrong")


def sleep(path: str) -> None:
    say(path, "begin")
    time.sleep(_FOREVER_S)


def sleep_beside_child(path: str) -> None:
    """Leave a child that has escaped from the process group."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    say(path, str(child.pid))
    while True:
        try:
            time.sleep(_FOREVER_S)
        except BaseException:
            say(path, "swallowed")


def grow(path: str) -> None:
    say(path, "begin")
    kept = []
    while True:
        kept.append(bytearray(os.urandom(4096)) * 256)
        time.sleep(0.001)


def burn(path: str) -> None:
    say(path, "begin")
    while True:
        pass


def crash(path: str) -> None:
    say(path, "begin")
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(_FOREVER_S)


def leave(path: str) -> None:
    say(path, "begin")
    os._exit(3)


def exit_(path: str) -> None:
    say(path, "begin")
    sys.exit(4)


async def asleep(path: str) -> None:
    say(path, "begin")
    await asyncio.sleep(_FOREVER_S)


async def aleave(path: str) -> None:
    say(path, "begin")
    os._exit(5)


NOW: Final = TaskRetryPolicy(default_delay=0.01)

HANDLERS = (
    (pid, {"name": "pid"}),
    (work, {"name": "work"}),
    (fail, {"name": "fail"}),
    (sleep, {"name": "sleep"}),
    (sleep, {"name": "sleep_once", "acks_late": False}),
    (sleep, {"name": "sleep_soft", "soft_time_limit": 0.3}),
    (
        sleep,
        {
            "name": "sleep_retried",
            "soft_time_limit": 0.2,
            "max_retries": 1,
            "retry_policy": TaskRetryPolicy(default_delay=60),
        },
    ),
    (
        sleep_beside_child,
        {"name": "sleep_hard", "soft_time_limit": 0.3, "hard_time_limit": 0.6},
    ),
    (grow, {"name": "grow", "memory_limit": 256 * _MB}),
    (burn, {"name": "burn", "cpu_limit": 0.3}),
    (crash, {"name": "crash", "max_crashes": 1}),
    (leave, {"name": "leave", "max_crashes": 1}),
    (exit_, {"name": "exit"}),
    (asleep, {"name": "asleep_once", "acks_late": False}),
    (aleave, {"name": "aleave", "max_crashes": 1}),
)
