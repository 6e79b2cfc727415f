"""Collecting evidence: slots, dead letters, descriptors, files, processes."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any, Final

import psutil

from stem_actor import StemApp, TaskHandle
from stem_actor.ids import format_id
from stem_actor.ring.core import State
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.native import ffi
from stem_actor.ring.segment import open_segment
from tests.fault.traces import Counters, Record, Toll

__all__ = [
    "counters",
    "letters",
    "names_in",
    "open_files",
    "private_bytes",
    "slots",
    "told",
    "tolls",
    "zombies",
]

_PAGE: Final = 4096
_QUEUES: Final = 256
_WORKERS: Final = 1024
_KINDS: Final = {1: "succeeded", 2: "failed", 3: "cancelled"}
#: Written by their owners as they please; the rest of a ring's files are counted.
_LOOSE: Final = frozenset({".log", ".stack", ".db-wal", ".db-shm"})


def slots(directory: RingDirectory) -> list[tuple[str, Record]]:
    """Return every slot that is not free, straight from the mapped table."""
    return [(task_id, record) for task_id, record, _ in _table(directory)]


def tolls(directory: RingDirectory) -> dict[str, Toll]:
    """Return what lost starts the slots tell of, by task."""
    return {task_id: toll for task_id, _, toll in _table(directory)}


def counters(app: StemApp) -> Counters:
    """Return what the ring says of itself."""
    stats, workers, health = app.stats(), app.workers(), app.health()
    number = {name: int(it) for name, it in stats.items() if isinstance(it, int)}
    return Counters(
        epoch=number["epoch"],
        births=sum(worker.incarnation for worker in workers),
        members=len(workers),
        starts=number["starts"],
        crashes=number["crashes"],
        collaterals=number["collaterals"],
        corrupt=number["corrupt"],
        letters=number["deadLetters"],
        letters_dropped=number["deadLettersDropped"],
        problems=tuple(map(str, health["problems"])),
    )


def private_bytes(pid: int) -> int:
    """Return the resident memory of *pid* that no file or ring stands for."""
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - memory.shared)


def letters(directory: RingDirectory) -> list[tuple[str, Record]]:
    """Return every dead letter, by a reader of its own."""
    with closing(
        sqlite3.connect(f"file:{directory.dead_letters}?mode=ro", uri=True)
    ) as db:
        rows = db.execute("SELECT id, attempt, starts FROM dead").fetchall()
    return [(format_id(row[0]), Record("failed", row[1], row[2])) for row in rows]


def told(handle: TaskHandle[Any]) -> Record:
    """Return what a settled handle was told."""
    status = handle.wait(0).status
    assert status is not None, f"{handle} is not settled"
    return Record(status.state.value, status.attempt, status.starts)


def open_files(pid: int | None = None) -> Counter[str]:
    """
    Return what *pid*, or this process, has open by kind or file name.

    Inodes are left out, and so is the number in a producer's ring.
    """
    folder = f"/proc/{pid or 'self'}/fd"
    found: Counter[str] = Counter()
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        kind = target if "anon_inode" in target else target.partition(":[")[0]
        if not kind.endswith(("-wal", "-shm")):  # sqlite's, opened when it likes
            found["p.ring" if "/p-" in kind else kind] += 1
    return found


def names_in(directory: RingDirectory) -> Counter[str]:
    """Return the ring's files; those of producers count by kind, not by name."""
    found: Counter[str] = Counter()
    for path in directory.path.iterdir():
        if path.suffix in _LOOSE:
            continue
        found["p.ring" if path.match("p-*.ring") else path.name] += 1
    return found


def zombies(guardian: int) -> list[int]:
    """Return the dead children of *guardian*, and of this process, not yet reaped."""
    found = []
    for parent in (guardian, os.getpid()):
        for child in psutil.Process(parent).children():
            try:
                if child.status() == psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
            except psutil.NoSuchProcess:
                continue
    return found


def _table(directory: RingDirectory) -> list[tuple[str, Record, Toll]]:
    segment = open_segment(directory.core, writable=False)
    try:
        base = ffi.cast("uint8_t *", segment.at)
        block: Any = ffi.cast("struct sa_super *", base)
        at = 2 * _PAGE + _QUEUES * ffi.sizeof("struct sa_queue_row")
        at += _WORKERS * ffi.sizeof("struct sa_worker_row")
        table: Any = ffi.cast("struct sa_slot *", base + at)
        return [
            (format_id(bytes(ffi.buffer(row.id))), *_record(row))
            for row in (table[number] for number in range(block.slots))
            if row.word >> 60 != State.FREE
        ]
    finally:
        segment.close()


def _record(row: Any) -> tuple[Record, Toll]:
    numbers = row.var[row.word >> 59 & 1]
    state = _KINDS[row.out_kind] if row.word >> 60 == State.FINISHED else "live"
    return (
        Record(state, int(numbers.attempt), int(numbers.starts)),
        Toll(int(numbers.crashes), int(numbers.collaterals)),
    )
