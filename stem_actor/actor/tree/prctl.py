"""The attributes of a process that only Linux's ``prctl`` can set."""

from __future__ import annotations

import ctypes
import os
import signal

_SET_PDEATHSIG = 1
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36
_GET_CHILD_SUBREAPER = 37
_CLOSE_RANGE = 436  # the number of the system call, on every architecture

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """
    Have the kernel SIGKILL this process when *parent* ends.

    Call it after adoption, and again after any change of credentials, which clears
    it. Exits at once if *parent* is gone already: its end would never be signalled.

    Raises:
        OSError: If the kernel refuses.
    """
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def adopt_orphans() -> None:
    """
    Make this process the reaper of its descendants; children do not inherit it.

    Raises:
        OSError: If the kernel refuses.
    """
    _prctl(_SET_CHILD_SUBREAPER, 1)


def probe_adoption() -> None:
    """
    Set the flag of ``adopt_orphans`` to what it is already.

    Raises:
        OSError: If the kernel refuses.
    """
    now = ctypes.c_int(0)
    _prctl(_GET_CHILD_SUBREAPER, ctypes.addressof(now))
    _prctl(_SET_CHILD_SUBREAPER, now.value)


def probe_close_range() -> None:
    """
    Close a range without a descriptor in it.

    Raises:
        OSError: If the kernel refuses.
    """
    last = ctypes.c_uint(0xFFFFFFFF)
    if _libc.syscall(_CLOSE_RANGE, last, last, ctypes.c_uint(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def name_process(name: str) -> None:
    """
    Name the calling thread, as ``ps`` and ``top`` show it.

    Args:
        name: Cut to 15 bytes by the kernel.
    """
    buffer = ctypes.create_string_buffer(name.encode())
    _prctl(_SET_NAME, ctypes.addressof(buffer))


def flush_c_stdio() -> None:
    """Flush every C stream, so that no child prints the same bytes again."""
    _libc.fflush(None)


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
