"""Handlers on which the signals of a limit have another effect than they should."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import time
from typing import Final

from stem_actor import TaskContext
from stem_actor.actor.tree.signals import LAST_WORDS_SIGNAL, SOFT_SIGNAL
from tests.limits.jobs import pid, say

_FOREVER_S: Final = 60.0
#: The hard limit of ``overrun`` and of ``aoverrun``.
HARD_S: Final = 0.2


def become(context: TaskContext, path: str) -> None:
    """Replace the process: it dies of any signal that is not its own."""
    say(path, f"begin {context.attempt}")
    os.execv("/bin/sleep", ["sleep", str(_FOREVER_S)])  # noqa: S606


def become_deaf(context: TaskContext, path: str) -> None:
    """The same, but the soft limit's signal is not heard."""
    say(path, f"begin {context.attempt}")
    signal.pthread_sigmask(signal.SIG_BLOCK, [SOFT_SIGNAL])
    os.execv("/bin/sleep", ["sleep", str(_FOREVER_S)])  # noqa: S606


def forget_words(context: TaskContext, path: str) -> None:
    """Have the signal of the last words kill the process."""
    say(path, f"begin {context.attempt}")
    faulthandler.unregister(LAST_WORDS_SIGNAL)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(_FOREVER_S)


def burn(context: TaskContext, path: str) -> None:
    """The same, and use the processor."""
    say(path, f"begin {context.attempt}")
    faulthandler.unregister(LAST_WORDS_SIGNAL)
    while True:
        pass


def reset_signals(context: TaskContext, path: str) -> None:
    say(path, f"begin {context.attempt}")
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    time.sleep(_FOREVER_S)


async def hang(path: str) -> None:
    say(path, "begin")
    await asyncio.sleep(_FOREVER_S)


async def nap(path: str, seconds: float) -> int:
    say(path, "begin")
    await asyncio.sleep(seconds)
    return os.getpid()


def overrun(path: str) -> int:
    """Return 8 ms past the hard limit, while its last words cannot be written."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [LAST_WORDS_SIGNAL])
    end = time.monotonic() + HARD_S + 0.008
    while time.monotonic() < end:
        pass
    say(path, "returns")
    return os.getpid()


async def aoverrun(path: str) -> int:
    return overrun(path)


def leave() -> None:
    os._exit(9)


def leave_in_peace() -> None:
    """End the process in the middle of a task as one that has nothing more to do."""
    os._exit(0)


_BOTH: Final = {"soft_time_limit": 0.3, "hard_time_limit": 0.9}

HANDLERS = (
    (pid, {"name": "pid"}),
    *(
        (handler, {"name": handler.__name__, **_BOTH})
        for handler in (become, become_deaf, forget_words, reset_signals)
    ),
    (burn, {"name": "burn", "cpu_limit": 0.3}),
    (hang, {"name": "hang", "hard_time_limit": 0.6}),
    (nap, {"name": "nap"}),
    (overrun, {"name": "overrun", "hard_time_limit": HARD_S}),
    (aoverrun, {"name": "aoverrun", "hard_time_limit": HARD_S}),
    (leave, {"name": "leave", "max_crashes": 1}),
    (leave_in_peace, {"name": "leave_in_peace", "max_crashes": 1}),
)
