"""Preflight: what has to be true of this machine before a tree is started."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Final

from stem_actor.actor.tree import prctl
from stem_actor.errors import RingError, SettingsError

__all__ = ["require_kernel", "require_python"]

_ANSWER_S: Final = 20.0
_ASK: Final = "import sys; print(sys.implementation.cache_tag)"
_KERNEL_HINT: Final = "Linux 5.9 or newer is needed, and a seccomp filter that allows"


def require_kernel() -> None:
    """
    Probe once for what the process tree is built on; changes nothing.

    Raises:
        RingError: Naming the call that this kernel, or its seccomp filter, refuses.
    """
    call = "pidfd_open"
    try:
        os.close(os.pidfd_open(os.getpid()))
        call = "eventfd"
        os.close(os.eventfd(0, os.EFD_CLOEXEC))
        call = "prctl(PR_SET_CHILD_SUBREAPER)"
        prctl.probe_adoption()
        call = "close_range"
        prctl.probe_close_range()
    except OSError as error:
        raise RingError(
            f"this kernel refuses {call}: {os.strerror(error.errno or 0)}",
            hint=f"{_KERNEL_HINT} {call}",
        ) from error


def require_python(path: str) -> None:
    """
    See that *path* is an interpreter that can run our supervisor.

    In a program that embeds Python ``sys.executable`` is often that program; run with
    a supervisor's arguments it would do whatever it does with them, or wait for ever.

    Raises:
        SettingsError: If it is none, or of another version than this process.
    """
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise SettingsError(
            [f"{path!r}, which should run the supervisor, is no program"], hint=_HINT
        )
    is_ours = os.path.realpath(path) == os.path.realpath("/proc/self/exe")
    if is_ours and os.path.basename(os.path.realpath(path)).startswith("python"):
        return
    answer = _cache_tag_of(path)
    if answer != sys.implementation.cache_tag:
        raise SettingsError(
            [
                f"{path!r}, which should run the supervisor, is no "
                f"{sys.implementation.cache_tag}: asked for its version it said "
                f"{answer[:60]!r}"
            ],
            hint=_HINT,
        )


@cache
def _cache_tag_of(path: str) -> str:
    """Return what *path* says it is; anything at all if it is no interpreter."""
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    return done.stdout.decode("utf-8", "replace").strip()


_HINT: Final = (
    "pass python= the path of the "
    f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]} "
    "that has stem_actor's dependencies"
)
