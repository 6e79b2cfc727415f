"""A read-only view of a ring, for when nobody can be asked: it maps, and looks."""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from stem_actor.errors import RingCorrupt, RingError, RingVersionMismatch
from stem_actor.ring.core import State
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.native import LAYOUT, ffi, require
from stem_actor.ring.record import HEAD
from stem_actor.ring.segment import open_segment

__all__ = ["STATES", "RingSample", "RingView", "StateRow", "WorkerRow"]

#: Slot states that are shown, in the order of a task's life.
STATES: Final = {
    State.READY: "ready",
    State.DELAYED: "delayed",
    State.PARKED: "parked",
    State.LEASED: "leased",
    State.HELD: "held",
    State.FINISHED: "finished",
}
_MAGIC: Final = b"STEMRING"
_PAGE: Final = 4096
_QUEUES: Final = 256
_WORKERS: Final = 1024
_SLOT: Final = 128
_QUEUE_AT: Final = 68
#: Live slots whose name is looked up for one sample; the rest is counted without.
_NAMED: Final = 32_768
_SLOT_HEAD: Final = struct.Struct("<Q16sIIIIIIQQII")
_VAR: Final = struct.Struct("<IIHHHHq")
_WALL: Final = 8
_NAME_AT: Final = HEAD.size


class StateRow(NamedTuple):
    """How many slots of one queue, or of one task, are in each state."""

    name: str
    counts: dict[str, int]
    paused: bool = False


class WorkerRow(NamedTuple):
    """A worker as its supervisor last wrote it down; *pid* 0: none lives there."""

    number: int
    pid: int
    incarnation: int
    finished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RingSample:
    """
    One look at a ring. Words change while it is taken, so sums may differ by a few.

    Attributes:
        at_ns: Monotonic time of the look.
        supervisor: Pid of the last supervisor, whether it lives or not.
        counters: ``struct sa_stats``.
        states: Slots by state.
        queues: The same by queue.
        tasks: The same by task name, live slots only.
        oldest_ready_ns: How long the oldest ready task has waited; 0: none does.
    """

    at_ns: int
    epoch: int
    supervisor: int
    slots: int
    counters: dict[str, int]
    states: dict[str, int]
    queues: tuple[StateRow, ...]
    tasks: tuple[StateRow, ...]
    workers: tuple[WorkerRow, ...]
    oldest_ready_ns: int

    def rate(self, before: RingSample) -> float:
        """Return tasks finished a second since *before*; 0 if no time has passed."""
        elapsed_ns = self.at_ns - before.at_ns
        done = self.counters["finished"] - before.counters["finished"]
        return max(0.0, done * 1e9 / elapsed_ns) if elapsed_ns > 0 else 0.0


class _Live(NamedTuple):
    """The part of a live slot that a sample needs."""

    number: int
    word: int
    state: int
    queue: int
    record_at: int
    record_len: int
    ready_since_ns: int


class RingView:
    """
    Maps ``core.seg`` without the right to write; asks no process for anything.

    Raises:
        RingError: If there is no such ring.
        RingCorrupt: If the file is not a ring.
        RingVersionMismatch: If another version wrote it.
    """

    def __init__(self, directory: RingDirectory) -> None:
        require()
        if not directory.core.exists():
            raise RingError(
                f"there is no ring at {directory.path}",
                hint="start the app, or run stem-actor worker",
            )
        self.directory = directory
        self._segment = open_segment(directory.core, writable=False)
        try:
            self._super = self._superblock()
        except BaseException:
            self._segment.close()
            raise
        base = ffi.cast("uint8_t *", self._segment.at)
        self._stats: Any = ffi.cast("struct sa_stats *", base + _PAGE)
        self._queues: Any = ffi.cast("struct sa_queue_row *", base + 2 * _PAGE)
        workers_at = 2 * _PAGE + _QUEUES * ffi.sizeof("struct sa_queue_row")
        self._workers: Any = ffi.cast("struct sa_worker_row *", base + workers_at)
        self._slots_at = workers_at + _WORKERS * ffi.sizeof("struct sa_worker_row")
        self._slots: Any = ffi.cast("struct sa_slot *", base + self._slots_at)
        self._names: dict[int, str] = {}

    def sample(self) -> RingSample:
        """Look once."""
        now = time.monotonic_ns()
        raw = self._segment.read(self._slots_at, self._super.slots * _SLOT)
        words = memoryview(raw).cast("Q")[:: _SLOT // 8].tolist()
        queues = memoryview(raw).cast("I")[_QUEUE_AT // 4 :: _SLOT // 4].tolist()
        states = Counter(word >> 60 for word in words)
        by_queue: dict[int, Counter[int]] = {}
        for word, queue in zip(words, queues, strict=True):
            if word >> 60:
                by_queue.setdefault(queue, Counter())[word >> 60] += 1
        live = list(_live(raw, words))
        since = [it.ready_since_ns for it in live if it.state == State.READY]
        return RingSample(
            at_ns=now,
            epoch=int(self._super.epoch),
            supervisor=int(self._super.supervisor_pid),
            slots=int(self._super.slots),
            counters=self._counters(),
            states=_counts(states),
            queues=self._queue_rows(by_queue),
            tasks=self._task_rows(live),
            workers=self._worker_rows(),
            oldest_ready_ns=max(0, now - min(since)) if since else 0,
        )

    def close(self) -> None:
        self._segment.close()

    # --- inside

    def _superblock(self) -> Any:
        size = self._segment.size
        if size < 2 * _PAGE:
            raise RingCorrupt(f"{self._segment.path} is no ring: {size} bytes")
        block: Any = ffi.cast("struct sa_super *", self._segment.at)
        if bytes(ffi.buffer(block.magic, 8)) != _MAGIC:
            raise RingCorrupt(f"{self._segment.path} is no ring: it has no mark of one")
        if block.layout != LAYOUT:
            raise RingVersionMismatch(int(block.layout), LAYOUT)
        if block.total_len > size or block.arena_at + block.arena_len > size:
            raise RingCorrupt(f"{self._segment.path} is cut short")
        return block

    def _counters(self) -> dict[str, int]:
        names = (name for name, _ in ffi.typeof("struct sa_stats").fields)
        return {name: int(getattr(self._stats, name)) for name in names}

    def _queue_rows(self, counts: dict[int, Counter[int]]) -> tuple[StateRow, ...]:
        rows = []
        for number in range(_QUEUES):
            row = self._queues[number]
            if not row.used:
                break
            name = ffi.buffer(row.name, min(int(row.name_len), 232))[:]
            rows.append(
                StateRow(
                    name.decode("utf-8", "replace"),
                    _counts(counts.get(number, Counter())),
                    bool(row.paused),
                )
            )
        return tuple(rows)

    def _worker_rows(self) -> tuple[WorkerRow, ...]:
        rows = []
        for index in range(_WORKERS):
            row = self._workers[index]
            if not row.incarnation:  # never was anybody there
                break
            pid, birth = int(row.pid), int(row.incarnation)
            rows.append(WorkerRow(index, pid, birth, int(row.finished)))
        return tuple(rows)

    def _task_rows(self, live: list[_Live]) -> tuple[StateRow, ...]:
        counts: dict[str, Counter[int]] = {}
        for slot in live[:_NAMED]:
            name = self._name_of(slot)
            if name is not None:
                counts.setdefault(name, Counter())[slot.state] += 1
        return tuple(StateRow(name, _counts(it)) for name, it in sorted(counts.items()))

    def _name_of(self, slot: _Live) -> str | None:
        """Return the task's name; None if the slot has gone on while we looked."""
        at = int(self._super.arena_at) + 64 * slot.record_at
        if slot.record_len < HEAD.size:
            return None
        try:
            fields = HEAD.unpack(self._segment.read(at, HEAD.size))
            queue_len, name_len, hashed = fields[4], fields[5], fields[10]
            name = self._names.get(hashed)
            if name is None:
                read = self._segment.read(at + _NAME_AT + queue_len, name_len)
                name = read.decode("utf-8", "replace")
        except RingCorrupt:
            return None
        if int(self._slots[slot.number].word) != slot.word:
            return None  # what was read may be the record of another task
        self._names[hashed] = name
        return name


def _live(raw: bytes, words: list[int]) -> Iterator[_Live]:
    for number, word in enumerate(words):
        state = word >> 60
        if state in (State.FREE, State.FINISHED) or state not in STATES:
            continue
        at = number * _SLOT
        head = _SLOT_HEAD.unpack_from(raw, at)
        var = _VAR.unpack_from(raw, at + 80 + 24 * (word >> 59 & 1))
        since = 0 if var[5] & _WALL else var[6]
        yield _Live(number, word, state, head[11], head[2], head[3], since)


def _counts(counter: Counter[int]) -> dict[str, int]:
    return {name: counter[state] for state, name in STATES.items()}
