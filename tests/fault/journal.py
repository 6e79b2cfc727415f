"""
The journal: what handlers themselves say of their starts, beside every store.

A directory of small append-only files, one for each last byte of a task id. A record
is one line and one ``write``; lines have one length that divides a page, because the
kernel may stop a killed writer, and show a reader what there is, between two pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic_ns
from typing import Final

__all__ = ["Journal", "Line", "Mark", "append_line", "read_journal", "start_time"]

_FIELDS: Final = 6
_LINE: Final = 128
_STAT_STATE: Final = 0
_STAT_START: Final = 19  # of what follows the command's name


class Mark(StrEnum):
    """What a line says: a start, an end, or that an earlier start still lived."""

    START = "S"
    END = "E"
    OVERLAP = "O"


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line.

    Attributes:
        task_id: Canonical text.
        attempt: As the handler saw it.
        pid: Process of the handler; of an OVERLAP, the process of the earlier start.
        born: Start time of that process in clock ticks since boot: with the pid it
            names a process for good.
        at_ns: Monotonic.
    """

    mark: Mark
    task_id: str
    attempt: int
    pid: int
    born: int
    at_ns: int


class Journal:
    """The writer's side, used by handlers."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def start(self, task_id: str, attempt: int) -> None:
        """
        Write that a start has begun, first of all; then look for an older one.

        An older start of the same task that has no end and whose process still lives
        is written down too: only at this moment can that be known.
        """
        pid = os.getpid()
        born = start_time(pid) or 0
        self._write(Mark.START, task_id, attempt, pid, born)
        open_starts: dict[tuple[int, int], int] = {}
        for line in _lines(self._file(task_id)):
            if line.task_id != task_id:
                continue
            if line.mark is Mark.START:
                key = line.pid, line.born
                open_starts[key] = open_starts.get(key, 0) + 1
            elif line.mark is Mark.END:
                open_starts[line.pid, line.born] -= 1
        open_starts[pid, born] -= 1  # this one
        for (other, began), count in open_starts.items():
            if count > 0 and start_time(other) == began:
                self._write(Mark.OVERLAP, task_id, attempt, other, began)

    def end(self, task_id: str, attempt: int) -> None:
        """Write that the handler is about to return, or to raise."""
        pid = os.getpid()
        self._write(Mark.END, task_id, attempt, pid, start_time(pid) or 0)

    # --- inside

    def _file(self, task_id: str) -> Path:
        return self._folder / task_id[-2:]

    def _write(
        self, mark: Mark, task_id: str, attempt: int, pid: int, born: int
    ) -> None:
        line = f"{mark} {task_id} {attempt} {pid} {born} {monotonic_ns()}"
        append_line(self._file(task_id), line)


def append_line(path: Path, text: str) -> None:
    """
    Append one line by one write; a kill leaves all of it, or nothing.

    Args:
        path: Holds nothing but such lines.
        text: ASCII, at most 127 characters, padded here.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        os.write(fd, f"{text:<{_LINE - 1}}\n".encode())
    finally:
        os.close(fd)


def read_journal(folder: Path) -> list[Line]:
    """Return every line below *folder*, in the order of their times."""
    files = sorted(folder.iterdir())
    return sorted(
        (line for file in files for line in _lines(file)), key=lambda line: line.at_ns
    )


def start_time(pid: int) -> int | None:
    """Return when *pid* began, in ticks; None if it is dead, a zombie included."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[_STAT_STATE] in ("Z", "X"):
        return None
    return int(fields[_STAT_START])


def _lines(file: Path) -> Iterator[Line]:
    try:
        text = file.read_text()
    except FileNotFoundError:
        return
    for raw in text.splitlines():
        fields = raw.split()
        if len(fields) != _FIELDS:
            raise ValueError(f"{file}: a torn line: {raw!r}")
        mark, task_id, *numbers = fields
        attempt, pid, born, at_ns = map(int, numbers)
        yield Line(Mark(mark), task_id, attempt, pid, born, at_ns)
