"""Counting encoders: each call leaves a line in a file, whichever process makes it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from stem_actor import TaskPayloadEncoder

__all__ = ["Counting", "calls", "calls_elsewhere", "calls_here"]


class Counting(TaskPayloadEncoder):
    """Wraps a value once; what is wrapped twice or not at all is refused."""

    def __init__(self, journal: Path, id: str) -> None:
        self.id = id
        self._journal = journal

    def encode(self, value: object) -> object:
        self._note("encode")
        return {self.id: value}

    def decode(self, stored: object) -> object:
        self._note("decode")
        if not isinstance(stored, dict) or list(stored) != [self.id]:
            raise ValueError("it was not encoded exactly once")
        return stored[self.id]

    def _note(self, verb: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        fd = os.open(self._journal, flags, 0o600)
        os.write(fd, f"{self.id} {verb} {os.getpid()}\n".encode())
        os.close(fd)


def calls(journal: Path) -> Counter[str]:
    """Return how often each encoder was called: ``args encode`` → number."""
    return Counter(line.rpartition(" ")[0] for line in _lines(journal))


def calls_here(journal: Path) -> Counter[str]:
    """Return the calls in this process."""
    return _where(journal, is_here=True)


def calls_elsewhere(journal: Path) -> Counter[str]:
    """Return the calls in other processes, which are workers."""
    return _where(journal, is_here=False)


def _where(journal: Path, *, is_here: bool) -> Counter[str]:
    pairs = (line.rpartition(" ") for line in _lines(journal))
    own = str(os.getpid())
    return Counter(what for what, _, pid in pairs if (pid == own) is is_here)


def _lines(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []
