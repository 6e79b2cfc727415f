"""The fence: nothing of an earlier tree lives when a supervisor recovers."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

from stem_actor.actor.supervisor.unkillable import DEATH_S

__all__ = ["born_at", "fence"]

_STATE, _BORN = 0, 19  # in /proc/PID/stat, behind the command's name


def born_at(pid: int) -> int:
    """
    Return when *pid* began, in clock ticks since boot; 0 if it is dead.

    Pid and birth together mean one process for good; a pid alone is given again.

    Raises:
        OSError: If the kernel does not tell; want of descriptors is no death.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[_STATE] in ("Z", "X") else int(fields[_BORN])


def fence(pid: int, born: int, *, within_s: float = DEATH_S) -> int:
    """
    Kill the worker *pid* and its group if it is the process born at *born*.

    The guardian has done so at every restart that it made. It is needed where the
    guardian itself was killed: its workers get their signal at the same moment, but a
    new supervisor must not recover before they are gone.

    Returns:
        -1 if it is dead; a pidfd, the caller's, if it is not dead after *within_s*.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    if born and born_at(pid) == born:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(max(0.0, within_s) * 1000):
            return pidfd
    os.close(pidfd)
    return -1
