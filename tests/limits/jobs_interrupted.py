"""Handlers with shields, extensions, and other reasons to end than a limit."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import threading
import time
from pathlib import Path
from typing import Final

from stem_actor import SoftTimeLimitExceeded, TaskContext, TaskRevoked
from tests.limits.jobs import pid, say, told

_FOREVER_S: Final = 60.0


def nap(context: TaskContext, path: str, seconds: float = _FOREVER_S) -> str:
    """Sleep, and say what has ended it."""
    say(path, f"begin {context.attempt}")
    try:
        time.sleep(seconds)
    except BaseException as error:
        say(path, f"{type(error).__name__} {context.interruption}")
        raise
    finally:
        say(path, "clean-up")
    return "rested"


async def anap(context: TaskContext, path: str) -> str:
    say(path, f"begin {context.attempt}")
    try:
        await asyncio.sleep(_FOREVER_S)
    except BaseException as error:
        say(path, f"{type(error).__name__} {context.interruption}")
        raise
    finally:
        say(path, "clean-up")
    return "rested"


def commit(context: TaskContext, path: str, at_most: float, seconds: float) -> None:
    """Be in a shield at the limit."""
    with told(path):
        with context.shield(at_most):
            say(path, "up")
            time.sleep(seconds)
            say(path, f"still {context.interruption}")
        say(path, "after")  # never reached: it strikes as the shield is left
        time.sleep(_FOREVER_S)


def commit_deep(context: TaskContext, path: str) -> None:
    """Be in an inner shield at the limit, and leave it alone first."""
    with told(path), context.shield(10):
        with context.shield(10):
            time.sleep(0.6)
            say(path, "inner")
        say(path, "between")
        time.sleep(0.1)
        say(path, "outer")


def commit_short(context: TaskContext, path: str) -> None:
    """Ask for a longer shield within a shorter one."""
    with told(path), context.shield(0.5), context.shield(30):
        time.sleep(_FOREVER_S)


def commit_in_thread(context: TaskContext, path: str) -> None:
    """Be in a shield of a helper thread at the limit, and leave it there."""

    def work() -> None:
        with context.shield(10):
            time.sleep(0.6)
        say(path, "left")

    with told(path):
        helper = threading.Thread(target=work)
        helper.start()
        try:
            helper.join()
            time.sleep(_FOREVER_S)
        finally:
            helper.join()


async def acommit_in_thread(context: TaskContext, path: str) -> None:
    def work() -> None:
        with context.shield(10):
            time.sleep(0.6)
        say(path, "left")

    with told(path):
        helper = threading.Thread(target=work)
        helper.start()
        try:
            await asyncio.sleep(_FOREVER_S)
        finally:
            helper.join()


def commit_and_fail(context: TaskContext, path: str) -> None:
    with told(path):
        try:
            with context.shield(10):
                time.sleep(0.6)
                raise ValueError("in the shield")
        except SoftTimeLimitExceeded as error:
            say(path, f"SoftTimeLimitExceeded from {type(error.__context__).__name__}")
            raise


def commit_in_time(context: TaskContext, path: str) -> str:
    """Leave the shield before the limit: then there is none."""
    with context.shield(10):
        say(path, "up")
    with told(path):
        time.sleep(_FOREVER_S)
    return "rested"


async def acommit(context: TaskContext, path: str) -> None:
    with told(path):
        with context.shield(10):
            await asyncio.sleep(0.6)
            say(path, f"still {context.interruption}")
        say(path, "left")  # a cancellation comes at the next await
        await asyncio.sleep(_FOREVER_S)


def extend(context: TaskContext, path: str, by: list[float]) -> None:
    """Ask for more time at once, then sleep; say what was granted and is left."""
    for seconds in by:
        before = context.remaining()
        granted = context.extend_limit(seconds)
        after = context.remaining()
        assert before is not None
        assert after is not None
        say(path, f"{granted:.3f} {abs(round(after - before, 1)):.1f}")
    with told(path):
        time.sleep(_FOREVER_S)


def notice(context: TaskContext, path: str) -> str:
    """Look for the limit, as a task that chose to be told only has to."""
    time.sleep(0.6)
    say(path, f"{context.interruption}")
    return "done"


def stay(context: TaskContext, path: str) -> None:
    """Swallow what would end it."""
    say(path, "begin")
    while True:
        try:
            time.sleep(_FOREVER_S)
        except BaseException as error:
            say(path, f"{type(error).__name__} {context.interruption}")


def fail(path: str) -> None:
    say(path, "failed")
    raise ConnectionError("again")


def revoke_itself(path: str) -> None:
    with told(path):
        raise TaskRevoked("by its own wish")


def clean_up(context: TaskContext, path: str, seconds: float) -> None:
    """Take time to clean up, for a second interruption to come in between."""
    say(path, "begin")
    try:
        time.sleep(_FOREVER_S)
    finally:
        say(path, "cleaning")
        time.sleep(seconds)
        say(path, f"cleaned {context.interruption}")


@dataclasses.dataclass
class SlowToRead:
    """An argument whose making takes long, in code of the user's."""

    path: str
    seconds: float

    def __post_init__(self) -> None:
        if TaskContext.current() is not None:  # the producer has made it, too
            say(self.path, "reading")
            time.sleep(self.seconds)
            say(self.path, "read")


def read(value: SlowToRead) -> None:
    with told(value.path):
        time.sleep(_FOREVER_S)


@dataclasses.dataclass
class SlowToWrite:
    """A result whose encoding takes long, in code of the user's."""

    path: str
    seconds: float

    def __getattribute__(self, name: str) -> object:
        found = object.__getattribute__(self, name)
        if name == "path" and TaskContext.current() is not None:
            say(str(found), "writing")
            time.sleep(object.__getattribute__(self, "seconds"))
            say(str(found), "written")
        return found


def write(path: str, seconds: float) -> SlowToWrite:
    return SlowToWrite(path, seconds)


def write_much(path: str, after: float, size: int) -> bytes:
    """Return *size* bytes, *after* seconds of sleep."""
    time.sleep(after)
    data = bytes(size)
    say(path, "returns")
    return data


def wait_for(path: str) -> int:
    while not Path(path).exists():
        time.sleep(0.005)
    return os.getpid()


_SOFT: Final = {"soft_time_limit": 0.3, "hard_time_limit": 20}
_BOTH: Final = {"soft_time_limit": 0.3, "hard_time_limit": 0.9}

HANDLERS = (
    (pid, {"name": "pid"}),
    (nap, {"name": "nap"}),
    (nap, {"name": "nap_once", "acks_late": False}),
    (anap, {"name": "anap"}),
    (nap, {"name": "nap_soft", **_SOFT}),
    *(
        (handler, {"name": handler.__name__, **_SOFT})
        for handler in (
            commit,
            commit_deep,
            commit_short,
            commit_and_fail,
            commit_in_thread,
            acommit_in_thread,
            commit_in_time,
            acommit,
            clean_up,
            read,
            write,
        )
    ),
    (commit, {"name": "commit_for_ever", **_BOTH}),
    (extend, {"name": "extend", "max_extension": 0.5, **_SOFT}),
    (extend, {"name": "extend_never", **_SOFT}),
    (
        extend,
        {
            "name": "extend_hard",
            "max_extension": 0.5,
            "hard_time_limit": 0.6,
        },
    ),
    (notice, {"name": "notice", "soft_limit": "event", **_SOFT}),
    (stay, {"name": "stay"}),
    (fail, {"name": "fail", "max_retries": 5}),
    (revoke_itself, {"name": "revoke_itself", "max_retries": 5}),
    (read, {"name": "read_hard", **_BOTH}),
    (write, {"name": "write_hard", **_BOTH}),
    (write_much, {"name": "write_much", **_BOTH}),
    (wait_for, {"name": "wait_for"}),
    (commit, {"name": "commit_free"}),
)
