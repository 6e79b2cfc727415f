"""A handler that is nearly always in the library when a limit strikes."""

from __future__ import annotations

import os
import time

from stem_actor import TaskContext
from tests.limits.jobs import say

_CHILD_EVERY = 50


def child(path: str, number: str) -> None:
    say(path, f"ran {number}")


def call_library(context: TaskContext, path: str, seconds: float) -> int:
    """Call nothing but the context; say before and after each child."""
    end = time.monotonic() + seconds
    turns = 0
    while time.monotonic() < end:
        context.progress(turns % 100, {"turn": turns, "text": "x" * 50})
        context.heartbeat()
        context.extend_lease(1)
        context.meta["turns"] = turns
        if turns % _CHILD_EVERY == 0:
            number = f"{context.id}.{turns}"
            say(path, f"before {number}")
            context.enqueue("child", {"path": path, "number": number})
            say(path, f"after {number}")
        turns += 1
    return turns


def fill(context: TaskContext, path: str) -> None:
    """Enqueue children until there is no room, and then wait for some."""
    say(path, "begin")
    try:
        while True:
            context.enqueue("child", {"path": path, "number": ""}, not_before=60)
    except BaseException as error:
        say(path, type(error).__name__)
        raise


def pid() -> int:
    return os.getpid()


HANDLERS = (
    (child, {"name": "child", "ignore_result": True}),
    (call_library, {"name": "call_library", "hard_time_limit": 20}),
    (fill, {"name": "fill", "soft_time_limit": 0.5, "hard_time_limit": 20}),
    (pid, {"name": "pid"}),
)
