"""The supervisor's log: the guardian and its supervisors write it in turns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["last_words", "size_of"]

_TAIL_BYTES: Final = 16 * 1024
_PREFIX: Final = "stem-supervisor: "
#: What surrounds the line that names an exception or a fatal signal.
_AROUND: Final = (
    "guardian: ", "stem-quarantine: ", " ", "\t", "Traceback (", "Thread 0x",
    "Current thread 0x", "Extension modules:",
)  # fmt: skip


def size_of(path: Path) -> int:
    """Return how long the log at *path* is in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def last_words(path: Path, since: int = 0) -> str | None:
    """
    Return the last line in which a supervisor says why it ends, without our prefix.

    Args:
        path: The log.
        since: Its size before what counts; older words are another tree's.

    Returns:
        None if there is no such line: a supervisor that is killed says nothing.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = since if since <= size else 0  # somebody has cut it meanwhile
            file.seek(max(start, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    for line in reversed(text.splitlines()):
        if line.strip() and not line.startswith(_AROUND):
            return line.removeprefix(_PREFIX)
    return None
