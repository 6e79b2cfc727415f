"""The C core as Python sees it: the library, and its statuses as errors."""

from __future__ import annotations

import sys
from typing import Any, Final

from stem_actor.errors import RingCorrupt, RingError, RingVersionMismatch

__all__ = ["LAYOUT", "Status", "ffi", "is_supported", "lib", "raise_for", "require"]

#: Layout version of the arena that this build reads and writes.
LAYOUT: Final = 3

ffi: Any
lib: Any
try:
    if not sys.platform.startswith("linux"):
        raise ImportError(f"there is none for {sys.platform}")
    from stem_actor._core import ffi, lib  # type: ignore[no-redef]
except ImportError as error:  # another platform, or a source tree that is not built
    ffi = lib = None
    _reason = str(error)
else:
    lib.sa_python_init()
    _reason = ""


class Status:
    """The numbers of ``enum sa_status``; plain ints, compared on the hot path."""

    OK: Final = 0
    EMPTY: Final = 1
    FULL: Final = 2
    CORRUPT: Final = 3
    TOO_LARGE: Final = 4
    STALE: Final = 5
    INTERRUPTED: Final = 6
    TIMEOUT: Final = 7
    FOREIGN: Final = 8
    INVALID: Final = 9
    VERSION: Final = 10


def is_supported() -> bool:
    """Return whether the ring can run here."""
    return lib is not None


def require() -> None:
    """
    Raise RingError unless the C core is there.

    Raises:
        RingError: On a platform without it, or from a tree that is not built.
    """
    if lib is not None:
        return
    if not sys.platform.startswith("linux"):
        raise RingError(
            f"the shared-memory ring is not supported on {sys.platform} yet",
            hint="use Linux, or a network broker",
        )
    raise RingError(
        f"the C core is missing: {_reason}", hint="install a wheel, or run make test"
    )


def raise_for(status: int, what: str) -> None:
    """
    Raise the error that *status* stands for; return if it is OK.

    Args:
        status: A ``Status`` number.
        what: What was being done, in words that fit after a colon.
    """
    if status == Status.OK:
        return
    if status == Status.VERSION:
        raise RingVersionMismatch(-1, LAYOUT)
    if status == Status.CORRUPT:
        raise RingCorrupt(
            f"{what}: the ring's files do not pass their checks",
            hint="remove the directory, or restore it from its last good state",
        )
    if status == Status.FOREIGN:
        raise RingError(
            f"{what}: this process was forked from the one that opened the ring",
            hint="open the app again in the child, or enqueue from its parent",
        )
    if status == Status.STALE:
        raise RingError(f"{what}: made for an older supervisor")
    names = {2: "no room", 9: "an argument is out of range", 4: "too large"}
    raise RingError(f"{what}: {names.get(status, f'status {status}')}")
