"""
Tasks that do not end by themselves: the same function for every system.

A task tells what happens to it through a FIFO that its observer made and reads (see
`bench.limits_watch`). Whatever the task forks inherits the FIFO, so its end of file
says that the task, its process and all descendants are gone.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from collections.abc import Callable
from functools import partial

#: Calls through it keep the GIL.
_HOLDING = ctypes.PyDLL(None)
#: Half a minute of adding at least; nothing in between looks for a signal.
_ENDLESS = 10**9
_MUTEX_BYTES = 64
_BLINK_S = 0.01


class Diary:
    """
    What a task says of itself: lines of ``WORD DETAIL NANOSECONDS`` (CLOCK_MONOTONIC).

    The words are ``began`` (with the pid), ``swallowed`` and ``raised`` (with the name
    of the exception) and ``returned``.

    Args:
        fifo: Path; its reader has it open, else this fails instead of waiting.
    """

    def __init__(self, fifo: str) -> None:
        self._fifo = fifo
        self._fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)

    def write(self, word: str, detail: object) -> None:
        """Add a line; shorter than PIPE_BUF, so lines never mix."""
        os.write(self._fd, f"{word} {detail} {time.monotonic_ns()}\n".encode())

    @property
    def is_read(self) -> bool:
        """Whether the observer is still there; it removes the FIFO when it goes."""
        return os.access(self._fifo, os.F_OK)

    def close(self) -> None:
        """Let go of the FIFO in this process."""
        os.close(self._fd)


def endure(case: str, fifo: str, span_s: float) -> int:
    """
    Suffer a case for *span_s* seconds at most, so far as it can be bounded.

    Args:
        case: A key of CASES.
        fifo: Where the diary goes.
        span_s: Seconds from now.

    Returns:
        The pid, as something that is no None.
    """
    diary = Diary(fifo)
    try:
        diary.write("began", os.getpid())
        CASES[case](time.monotonic() + span_s, diary)
        diary.write("returned", "-")
    except BaseException as error:
        diary.write("raised", type(error).__name__)
        raise
    finally:
        diary.close()
    return os.getpid()


def touch(fifo: str) -> int:
    """Say that the next task has started."""
    diary = Diary(fifo)
    diary.write("began", os.getpid())
    diary.close()
    return os.getpid()


def _sleep(until: float, _diary: Diary) -> None:
    time.sleep(until - time.monotonic())  # the case: a task that sleeps


def _busy_loop(until: float, _diary: Diary) -> None:
    while time.monotonic() < until:
        pass


def _c_loop(_until: float, _diary: Diary) -> None:
    sum(range(_ENDLESS))


def _gil_held(until: float, _diary: Diary) -> None:
    while time.monotonic() < until:  # a signal cuts the C function short
        _HOLDING.sleep(int(until - time.monotonic()) + 1)


def _mutex(_until: float, _diary: Diary) -> None:
    mutex = ctypes.create_string_buffer(_MUTEX_BYTES)  # zeroes: the default kind
    for _ in range(2):
        _HOLDING.pthread_mutex_lock(mutex)


def _regex(_until: float, _diary: Diary) -> None:
    re.match(r"(?:a+)+$", "a" * 34 + "b")


def _signals_blocked(until: float, diary: Diary) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _sleep(until, diary)


def _stopped(until: float, diary: Diary) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    _sleep(until, diary)


def _swallowing(until: float, diary: Diary, what: type[BaseException]) -> None:
    told = False
    while time.monotonic() < until:
        try:
            time.sleep(_BLINK_S)  # the case: it sleeps again whatever it is told
        except what as error:
            if not told:
                told = True
                diary.write("swallowed", type(error).__name__)


def _fork_runners(until: float, diary: Diary, count: int) -> None:
    for _ in range(count):
        if _HOLDING.fork() == 0:
            _run_away(until, diary)
    _sleep(until, diary)


def _run_away(until: float, diary: Diary) -> None:
    """
    Fork, leave the session and let the parent exit, over and over: no pid is old.

    By the C function, as a daemon that is not Python would; in the child this thread
    holds the GIL still. Nobody catches them by looking for pids, so that whoever has
    to clean up after a system that leaves them takes their reader away.
    """
    while time.monotonic() < until and diary.is_read:
        child = _HOLDING.fork()
        if child > 0:
            os._exit(0)
        if child == 0:
            os.setsid()
    os._exit(0)


#: Name → what it does until an instant (`time.monotonic`), or until it is killed.
CASES: dict[str, Callable[[float, Diary], None]] = {
    "sleep": _sleep,
    "busy loop": _busy_loop,
    "loop in C": _c_loop,
    "C call that holds the GIL": _gil_held,
    "mutex deadlock, GIL held": _mutex,
    "regex catastrophe": _regex,
    "all signals blocked": _signals_blocked,
    "SIGSTOP of itself": _stopped,
    "swallows Exception": partial(_swallowing, what=Exception),
    "swallows BaseException": partial(_swallowing, what=BaseException),
    "fork-runner, setsid, ×1": partial(_fork_runners, count=1),
    "fork-runners, setsid, ×2": partial(_fork_runners, count=2),
    "fork-runners, setsid, ×8": partial(_fork_runners, count=8),
}
