"""Killing a process of which a test must know the pid."""

from __future__ import annotations

import os
import signal

from stem_actor.ring.directory import RingDirectory
from tests.app.until import until

__all__ = ["kill_owner"]


def kill_owner(directory: RingDirectory) -> int:
    """
    Kill the supervisor of a ring by SIGKILL, once there is one; returns its pid.

    Never ``os.kill(owner or 0)``: pid 0 is the process group of the test itself.
    """
    pid = until(directory.owner)
    os.kill(pid, signal.SIGKILL)
    return pid
