"""Two ways to keep a process alive that has been killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.limits.conftest import eventually

FREEZER: Final = Path("/sys/fs/cgroup/freezer")

_SEIZE, _DETACH = 0x4206, 17
_TRACE_EXIT: Final = 1 << 6
_EVENT_EXIT: Final = 6
_WALL: Final = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def has_freezer() -> bool:
    """Return whether control groups of the first version can freeze here."""
    return os.access(FREEZER / "cgroup.procs", os.W_OK)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[Callable[[], None]]:
    """Put *pid* into state D until the function that is given is called."""
    group = FREEZER / f"stem-test-{pid}"
    group.mkdir()

    def thaw() -> None:
        (group / "freezer.state").write_text("THAWED")

    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        assert eventually(lambda: "FROZEN" in (group / "freezer.state").read_text())
        yield thaw
    finally:
        thaw()
        assert eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


@contextlib.contextmanager
def traced(pid: int) -> Iterator[Callable[[], None]]:
    """Hold *pid*, when it is killed, on its way out; it must allow to be traced."""
    _ptrace(_SEIZE, pid, _TRACE_EXIT)
    is_held = True

    def let_go() -> None:
        nonlocal is_held
        if not is_held:
            return
        is_held = False
        _, status = os.waitpid(pid, _WALL)
        assert status >> 8 == signal.SIGTRAP | _EVENT_EXIT << 8, hex(status)
        _ptrace(_DETACH, pid, 0)

    try:
        yield let_go
    finally:
        let_go()


def _ptrace(request: int, pid: int, data: int) -> None:
    if _libc.ptrace(request, pid, None, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
