"""Last words: what a worker leaves in a file for whoever reads it after its death."""

from __future__ import annotations

import faulthandler
import os
import re
from pathlib import Path
from typing import IO, Final, NamedTuple

from stem_actor.actor.tree.signals import ALL_WORDS_SIGNAL, LAST_WORDS_SIGNAL
from stem_actor.ring.mailbox import Mailbox

__all__ = ["NO_WORDS", "LastWords", "Words", "read_last_words"]

_SOFT: Final = b"--- soft limit of "
#: Written by ``native/sa_words.c``.
_LAST: Final = b"--- last words of "
_END: Final = b"--- end ---\n"
#: The most that is read back.
_BYTES: Final = 256 * 1024
_KEPT_BYTES: Final = 16 * 1024
#: How faulthandler begins one thread's stack, and in a dump of all that of the thread
#: which writes it.
_ONE: Final = b"Stack (most recent call first):\n"
_OWN: Final = b"Current thread 0x"
_ALL: Final = re.compile(rb"^(?:Current thread|Thread) 0x", re.MULTILINE)


class Words(NamedTuple):
    """
    What a worker has left.

    Attributes:
        end: What was written of no start: a crash, or why the process has ended.
        soft: Stacks at soft limits, by id of the task and number of its start.
        last: Stacks before the kill, by the name of the start, ``sa_words_name``.
    """

    end: str | None
    soft: dict[bytes, str]
    last: dict[bytes, str]


NO_WORDS: Final = Words(None, {}, {})


class LastWords:
    """The file of one worker process. What is written stays, whatever happens then."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        self._file: IO[bytes] = os.fdopen(fd, "wb", buffering=0)

    def arm(self, mailbox: Mailbox) -> None:
        """Have every thread's stack written at a crash, or when it is asked for."""
        faulthandler.enable(self._file, all_threads=True)
        # It writes 100 threads at most, the main one last: so that one goes first.
        faulthandler.register(LAST_WORDS_SIGNAL, self._file, all_threads=False)
        faulthandler.register(ALL_WORDS_SIGNAL, self._file, all_threads=True)
        fd = self._file.fileno()
        mailbox.open_words(LAST_WORDS_SIGNAL, ALL_WORDS_SIGNAL, fd)

    def keep(self, start: bytes, stacks: str) -> None:
        """Keep the *stacks* at the soft limit of *start*."""
        text = f"{start.hex()}\n{stacks}\n".encode("utf-8", "replace")
        self._file.write(_SOFT + text + _END)

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
        return NO_WORDS
    words = Words(None, {}, {})
    rest = b""
    while data:
        before, head, data = _cut(data)
        rest += before
        if not head:
            break
        text, end, after = data.partition(_END)
        if not end and head == _SOFT:  # killed while it was written
            rest += head + data
            break
        name, _, stacks = text.partition(b"\n")
        into = words.soft if head == _SOFT else words.last
        into[_start_of(name)] = _kept(stacks).decode("utf-8", "replace")
        data = after
    return words._replace(end=_kept(rest).decode("utf-8", "replace") or None)


def _kept(data: bytes) -> bytes:
    """Return what is to be kept of *data*: the first thread's stack, then the tail."""
    found = _ALL.search(data)
    if found is None or not data.startswith(_ONE):
        return data[-_KEPT_BYTES:]
    first, rest = data[: found.start()], data[found.start() :]
    if _OWN in rest:  # it is in there
        return rest[-_KEPT_BYTES:]
    first = first[: _KEPT_BYTES // 2]
    return first + b"\n" + rest[-(_KEPT_BYTES - len(first)) :]


def _cut(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what is before the first head in *data*, that head, and what is behind."""
    found = [(at, head) for head in (_SOFT, _LAST) if (at := data.find(head)) >= 0]
    if not found:
        return data, b"", b""
    at, head = min(found)
    return data[:at], head, data[at + len(head) :]


def _start_of(name: bytes) -> bytes:
    try:
        return bytes.fromhex(name.decode())
    except ValueError:
        return b""
