"""Last words: what a worker leaves in a file for whoever reads it after its death."""

from __future__ import annotations

import faulthandler
import os
import re
from pathlib import Path
from typing import IO, Final, NamedTuple

from stem_actor.actor.tree.signals import ALL_WORDS_SIGNAL, LAST_WORDS_SIGNAL
from stem_actor.ring.native import lib, raise_for

__all__ = ["NO_WORDS", "LastWords", "Words", "read_last_words"]

_HEAD: Final = b"--- soft limit of "
_END: Final = b"--- end ---\n"
#: The most that is read back.
_BYTES: Final = 256 * 1024
_END_BYTES: Final = 16 * 1024
#: How faulthandler begins one thread's stack, and in a dump of all that of the thread
#: which writes it.
_ONE: Final = b"Stack (most recent call first):\n"
_OWN: Final = b"Current thread 0x"
_ALL: Final = re.compile(rb"^(?:Current thread|Thread) 0x", re.MULTILINE)


class Words(NamedTuple):
    """What a worker has left: its end, and stacks at soft limits by start."""

    end: str | None
    soft: dict[bytes, str]


NO_WORDS: Final = Words(None, {})


class LastWords:
    """The file of one worker process. What is written stays, whatever happens then."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        self._file: IO[bytes] = os.fdopen(fd, "wb", buffering=0)

    def arm(self) -> None:
        """Have the interpreter write every thread's stack when it crashes."""
        faulthandler.enable(self._file, all_threads=True)
        # It writes 100 threads at most, the main one last: so that one goes first.
        rc = lib.sa_words_follow(LAST_WORDS_SIGNAL, ALL_WORDS_SIGNAL)
        raise_for(rc, "arming the last words")
        faulthandler.register(
            LAST_WORDS_SIGNAL, self._file, all_threads=False, chain=True
        )
        faulthandler.register(ALL_WORDS_SIGNAL, self._file, all_threads=True)

    def keep(self, start: bytes, stacks: str) -> None:
        """Keep the *stacks* at the soft limit of *start*."""
        text = f"{start.hex()}\n{stacks}\n".encode("utf-8", "replace")
        self._file.write(_HEAD + text + _END)

    def write(self, text: str) -> None:
        """Say why this process ends."""
        self._file.write(text.encode("utf-8", "replace"))


def read_last_words(path: Path) -> Words:
    """Return what lies at *path*; nothing, if there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _BYTES))
            data = file.read()
    except OSError:
        return Words(None, {})
    soft: dict[bytes, str] = {}
    while (at := data.find(_HEAD)) >= 0:
        end = data.find(_END, at)
        if end < 0:
            break  # killed while it was written
        name, _, stacks = data[at + len(_HEAD) : end].partition(b"\n")
        soft[_start_of(name)] = stacks.decode("utf-8", "replace")
        data = data[:at] + data[end + len(_END) :]
    return Words(_end_of(data).decode("utf-8", "replace") or None, soft)


def _end_of(data: bytes) -> bytes:
    """Return what is to be kept of *data*: the first thread's stack, then the tail."""
    found = _ALL.search(data)
    if found is None or not data.startswith(_ONE):
        return data[-_END_BYTES:]
    first, rest = data[: found.start()], data[found.start() :]
    if _OWN in rest:  # it is in there
        return rest[-_END_BYTES:]
    first = first[: _END_BYTES // 2]
    return first + b"\n" + rest[-(_END_BYTES - len(first)) :]


def _start_of(name: bytes) -> bytes:
    try:
        return bytes.fromhex(name.decode())
    except ValueError:
        return b""
