"""Quarantine: where a ring goes that no supervisor can recover."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Final

import msgspec

from stem_actor.errors import RingCorrupt, RingError, SettingsError
from stem_actor.ring.directory import RingDirectory

__all__ = ["NOT_THE_ARENA", "REASON_VARIABLE", "exit_code_of", "put_aside"]

#: EX_OSERR, ``SA_NOT_THE_ARENA``: starting again may help, another ring would not.
NOT_THE_ARENA: Final = 71
_FAILED: Final = 70
#: Set by the guardian for the supervisor that is to put the ring aside.
REASON_VARIABLE: Final = "STEM_ACTOR_QUARANTINE"
_KEPT_MAX: Final = 3
_OTHERS: Final = (
    RingError, SettingsError, OSError, MemoryError, sqlite3.Error, msgspec.MsgspecError,
)  # fmt: skip


def exit_code_of(error: Exception) -> int:
    """
    Return the exit code of a supervisor that *error* has ended.

    The guardian counts those that the ring's contents may have caused. A full disk, a
    missing right or a ring of another version is none of these: nothing may be put
    aside for it.
    """
    if isinstance(error, _OTHERS) and not isinstance(error, RingCorrupt):
        return NOT_THE_ARENA
    return _FAILED


def put_aside(directory: RingDirectory) -> Path:
    """
    Move the arena and every ring below ``quarantine``; the next start finds none.

    Dead letters and spooled payloads stay where they are. The latest three are kept.
    Needs the lock.

    Returns:
        Where they are now.

    Raises:
        OSError: If they cannot be moved.
    """
    root = directory.quarantine
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    place = root / name
    root.mkdir(mode=0o700, exist_ok=True)
    place.mkdir(mode=0o700)
    for path in (*directory.path.glob("*.ring"), directory.core):
        if path.exists():
            path.rename(place / path.name)
    places = sorted(root.iterdir(), key=lambda it: it.stat().st_mtime_ns)
    for old in places[:-_KEPT_MAX]:
        shutil.rmtree(old, ignore_errors=True)
    return place
