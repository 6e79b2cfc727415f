"""
The birth of a worker, from the zygote's fork to its first own step.

The zygote forks an intermediate, which forks the newborn and exits; the guardian,
reaper of both, adopts the newborn. So a worker is the guardian's child and outlives
the zygote. The newborn reports its pid only after adoption, with its death bound to
the guardian's: a pid that is reported is a child of the guardian.
"""

from __future__ import annotations

import atexit
import errno
import os
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from stem_actor.actor.tree import hygiene, prctl

_PID = struct.Struct("<i")
# The guardian gives the zygote up after 8 s; this must come first.
_BOUND_S = 5.0
_FORK_TRIES = 5
_FORK_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Birth:
    """
    What a worker knows of itself when its body begins.

    Attributes:
        index: Which worker it is, from 0; the same for each that replaces it.
        epoch: The supervisor's epoch that asked for it; an older one than the arena
            shows means that this worker must exit.
        incarnation: Tells the processes apart that lived under one index.
        bell_fd: The supervisor's eventfd.
        wake_fd: This worker's own eventfd, -1 if it was given none.
        directory: The runtime directory.
        parent_pid: The guardian.
    """

    index: int
    epoch: int
    incarnation: int
    bell_fd: int
    wake_fd: int
    directory: str
    parent_pid: int


def bear(
    birth: Birth, body: Callable[[Birth], None], *, leave: Callable[[], None]
) -> int:
    """
    Make a worker that runs *body*.

    Args:
        birth: Its descriptors stay the caller's.
        body: Runs in the worker's main thread; the process ends when it returns.
        leave: Called first in the worker, to give up what is the zygote's.

    Returns:
        The worker's pid, a child of the guardian.

    Raises:
        OSError: EAGAIN or ENOMEM if there is no room for processes; EIO if the
            newborn did not report within 5 s and was killed.
    """

    def life(report: int) -> NoReturn:
        leave()
        report_adopted(birth.parent_pid, report)
        live(birth, body)

    return bear_adopted(life)


def bear_adopted(life: Callable[[int], NoReturn]) -> int:
    """
    Fork twice; the grandchild runs *life* with the descriptor to report on.

    Returns:
        The pid that was reported.

    Raises:
        OSError: As ``bear``.
    """
    inlet, outlet = os.pipe2(os.O_CLOEXEC)

    def between() -> NoReturn:
        os.close(inlet)
        # Readable once this process has exited and its children were given away.
        gone = os.pidfd_open(os.getpid())
        newborn = _fork_patiently(lambda: _orphaned(gone, lambda: life(outlet)))
        with suppress(OSError):
            os.setpgid(newborn, newborn)  # it does so too: whoever comes first
        os._exit(0)

    try:
        child = _fork_patiently(between)
    except OSError:
        os.close(inlet)
        raise
    finally:
        os.close(outlet)
    try:
        return _await_report(inlet)
    except OSError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(inlet)
        os.waitpid(child, 0)


def report_adopted(guardian: int, report: int) -> None:
    """
    Lead a group of its own, bind this life to *guardian* and report the pid.

    Exits if the guardian is gone. A zygote that died meanwhile raises
    BrokenPipeError here: nobody knows of this process, so it must not live.
    """
    with suppress(PermissionError):  # it leads a session, hence a group, already
        os.setpgid(0, 0)
    prctl.die_with_parent(guardian)
    os.write(report, _PID.pack(os.getpid()))
    os.close(report)


def live(birth: Birth, body: Callable[[Birth], None]) -> NoReturn:
    """Run *body* and end this process: 0, its SystemExit's code, or 70."""
    code = hygiene.EXIT_FAILURE
    try:
        hygiene.enter_worker(f"stem-worker-{birth.index}")
        body(birth)
        code = 0
        atexit._run_exitfuncs()
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:
        traceback.print_exc()
    finally:
        hygiene.flush_streams()
        os._exit(code)


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _orphaned(gone: int, life: Callable[[], NoReturn]) -> NoReturn:
    """Run *life* once the process behind the pidfd *gone* has exited."""
    poller = select.poll()
    poller.register(gone, select.POLLIN)
    if not poller.poll(_BOUND_S * 1000):
        os._exit(hygiene.EXIT_FAILURE)
    os.close(gone)
    life()


def _fork_patiently(life: Callable[[], NoReturn]) -> int:
    """Fork; a full process table often has room again a moment later."""
    for _ in range(_FORK_TRIES - 1):
        try:
            return hygiene.fork_into(life)
        except BlockingIOError:
            time.sleep(_FORK_PAUSE_S)
    return hygiene.fork_into(life)


def _await_report(inlet: int) -> int:
    poller = select.poll()
    poller.register(inlet, select.POLLIN)
    packet = os.read(inlet, _PID.size) if poller.poll(_BOUND_S * 1000) else b""
    if len(packet) != _PID.size:
        raise OSError(errno.EIO, "the newborn did not report")
    (pid,) = _PID.unpack(packet)
    return int(pid)
