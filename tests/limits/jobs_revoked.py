"""Handlers that make something else of a revoke than their end."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

from stem_actor import TaskContext
from tests.limits.jobs import pid, say

_FOREVER_S: Final = 60.0


def turn(context: TaskContext, path: str) -> None:
    """Fail to clean up."""
    say(path, f"begin {context.attempt}")
    try:
        time.sleep(_FOREVER_S)
    except BaseException as error:
        raise ValueError("the roll-back has failed") from error


async def aturn(context: TaskContext, path: str) -> None:
    say(path, f"begin {context.attempt}")
    try:
        await asyncio.sleep(_FOREVER_S)
    except BaseException as error:
        raise ValueError("the roll-back has failed") from error


def retry(context: TaskContext, path: str) -> None:
    """Ask for another attempt, though nobody wants this one."""
    say(path, f"begin {context.attempt}")
    try:
        time.sleep(_FOREVER_S)
    except BaseException:
        context.retry(countdown=0)


def crash(context: TaskContext, path: str) -> None:
    """Crash in its clean-up."""
    say(path, f"begin {context.attempt}")
    try:
        time.sleep(_FOREVER_S)
    finally:
        os._exit(3)


def stay(context: TaskContext, path: str) -> None:
    """Swallow everything."""
    say(path, f"begin {context.attempt}")
    while True:
        try:
            time.sleep(_FOREVER_S)
        except BaseException as error:
            say(path, type(error).__name__)


def finish(context: TaskContext, path: str) -> str:
    """Save what there is, and return it."""
    say(path, f"begin {context.attempt}")
    try:
        time.sleep(_FOREVER_S)
    except BaseException as error:
        say(path, type(error).__name__)
    return "a part"


def leave_python(context: TaskContext, path: str) -> None:
    """Be in C, without a look at signals, for about 0.5 s, past the soft limit."""
    began = time.monotonic()
    sum(range(10**6))
    each_s = (time.monotonic() - began) / 10**6
    say(path, f"begin {context.attempt}")
    try:
        sum(range(int(0.5 / each_s)))
        time.sleep(_FOREVER_S)
    except BaseException as error:
        say(path, f"{type(error).__name__} {context.interruption}")
        raise


def edge(seconds: float) -> str:
    """Be busy until about the limit."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.001)
    return "done"


_AGAIN: Final = {"max_retries": 3}

HANDLERS = (
    (pid, {"name": "pid"}),
    *(
        (handler, {"name": handler.__name__, **_AGAIN})
        for handler in (turn, aturn, retry, crash, stay, finish)
    ),
    (stay, {"name": "stay_limited", "hard_time_limit": 0.9, **_AGAIN}),
    (leave_python, {"name": "leave_python", "soft_time_limit": 0.2, **_AGAIN}),
    (
        edge,
        {
            "name": "edge",
            "soft_time_limit": 0.03,
            "hard_time_limit": 0.06,
            "max_retries": 1,
        },
    ),
)
