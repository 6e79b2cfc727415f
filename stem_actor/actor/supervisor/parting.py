"""Parting: how a supervisor that cannot go on says why."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final

from stem_actor.actor.supervisor import quarantine
from stem_actor.errors import RingError, StemError
from stem_actor.ring.directory import RingDirectory

__all__ = ["STATUS_FD", "part", "put_aside", "say"]

STATUS_FD: Final = 5


def part(error: Exception, path: Path) -> int:
    """
    Say in the log what has ended this supervisor, and return its exit code.

    Where the ring at *path* may be why, others try first and the guardian tells the
    host; of anything else the host hears at once.
    """
    if not isinstance(error, StemError):
        with suppress(OSError):
            traceback.print_exception(error)
    code, reason = quarantine.exit_code_of(error), _reason(error, path)
    say(reason)
    if code == quarantine.NOT_THE_ARENA:
        _tell_host(reason)
    return code


def put_aside(directory: RingDirectory, reason: str) -> None:
    """
    Clear the way for the next supervisor, and tell the host where the ring is now.

    Args:
        directory: Of the ring.
        reason: How those before have ended.
    """
    directory.take_lock()
    place = quarantine.put_aside(directory)
    text = f"{reason} again and again before it was ready; its ring is now in {place}"
    say(text, who="stem-quarantine")
    _tell_host(text)


def say(line: str, *, who: str = "stem-supervisor") -> None:
    """Write to the log; it may lie on a file system that is full."""
    with suppress(OSError):
        print(f"{who}: {line}", file=sys.stderr)


def _tell_host(reason: str) -> None:
    with suppress(OSError):
        os.write(STATUS_FD, f"failed: {reason}\n".encode())


def _reason(error: Exception, path: Path) -> str:
    """One line for the host: what is wrong, and where it can be helped, how."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS):
        error = RingError(
            f"{path} cannot be written: {error.strerror}",
            hint="free memory there, or set runtime_dir to where there is room",
        )
    return " ".join(f"{type(error).__name__}: {error}".splitlines())
