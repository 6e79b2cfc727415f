"""The supervisor's side: the C core, its segment and every ring attached to it."""

from __future__ import annotations

import os
import struct
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

from stem_actor.errors import RingError
from stem_actor.ring.native import Status, ffi, lib, raise_for
from stem_actor.ring.numbers import EventType, Fault, Held, Mark, State
from stem_actor.ring.segment import Segment, create_segment

__all__ = [
    "NO_SLOT",
    "Core",
    "Event",
    "EventType",
    "Fault",
    "Held",
    "Mark",
    "SlotView",
    "State",
    "create_core",
]

NO_SLOT: Final = 0xFFFFFFFF
_EVENT: Final = struct.Struct("<IIIIQQ16s")
_SLOT: Final = struct.Struct("<Q16sIIIIIIQQIIq")
_VAR: Final = struct.Struct("<IIHHHHq")
_EVENTS: Final = 1024
_STEP_NS: Final = 2_000_000
_PAGE: Final = 4096
_LOW: Final = 0xFFFFFFFF
_MS: Final = 1_000_000
#: ``SA_LIMITS_BITS``
_LIMITS_BITS: Final = 60
_SLOT_BYTES: Final = 128
_QUEUES: Final = 256
#: Where a slot has its id.
_ID_AT: Final = 8
#: Where a slot has the top byte of its word, whose upper half is the state; and its
#: queue, in units of four bytes.
_STATE_AT: Final = 7
_QUEUE_AT: Final = 17


class Event(NamedTuple):
    """Something the core leaves to Python; see ``enum sa_event_type``."""

    type: int
    slot: int
    gen: int
    worker: int
    a: int
    b: int
    task_id: bytes


class SlotView(NamedTuple):
    """A copy of one slot; *stamp* is ``finished_ns``, under both of its meanings."""

    number: int
    state: int
    owner: int
    gen: int
    task_id: bytes
    body_at: int
    body_len: int
    out_at: int
    out_len: int
    out_kind: int
    queue: int
    stamp: int
    attempt: int
    starts: int
    crashes: int
    collaterals: int
    fault: int
    marks: int
    due_ns: int

    @property
    def finished_ns(self) -> int:
        """Wall time of the end; 0: it has not ended."""
        return self.stamp if self.state == State.FINISHED else 0

    @property
    def is_revoked(self) -> bool:
        """Whether it has been revoked while it ran, and has not ended yet."""
        return self.state != State.FINISHED and bool(self.marks & Mark.FORBIDDEN)

    @property
    def own_limits_ns(self) -> tuple[int, int]:
        """Soft and hard limit that an attempt has set for the next; 0: the head's."""
        if self.state == State.FINISHED or self.stamp >> _LIMITS_BITS:
            return 0, 0
        return (self.stamp & _LOW) * _MS, (self.stamp >> 32) * _MS


def create_core(path: Path, *, slots: int, arena_bytes: int) -> Segment:
    """
    Create and format the core segment.

    Raises:
        RingError: If the sizes are out of range, or there is no room.
    """
    size = int(lib.sa_arena_size(slots, arena_bytes))
    if not size:
        raise RingError(
            f"{slots} slots and {arena_bytes} arena bytes are out of range",
            hint="slots: 64 to 2**24; arena_bytes: a multiple of 64 KiB, from 256 KiB",
        )
    segment = create_segment(path, size)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    rc = lib.sa_arena_init(
        segment.at, size, slots, arena_bytes, os.urandom(16), bytes.fromhex(boot)
    )
    raise_for(rc, f"formatting {path}")
    segment.publish()
    return segment


class Core:
    """The dispatch core. One thread; times are nanoseconds."""

    def __init__(
        self,
        segment: Segment,
        *,
        workers_max: int,
        result_ttl_ns: int,
        dwell_ns: int = 5_000_000,
        credits_max: int = 64,
        queues: tuple[str, ...] = (),
    ) -> None:
        self.segment = segment
        self.workers_max: Final[int] = workers_max
        self._super: Any = ffi.cast("struct sa_super *", segment.at)
        options = ffi.new("struct sa_core_options *")
        options.workers_max = workers_max
        options.result_ttl_ns = result_ttl_ns
        options.child_reserve = self._super.slots // 10  # for workers' own enqueues
        options.dwell_ns = dwell_ns
        options.credits_max = credits_max
        options.only_allowed = int(bool(queues))
        status = ffi.new("int *")
        self.handle: Any = lib.sa_core_open(segment.at, segment.size, options, status)
        raise_for(status[0], f"opening {segment.path}")
        for queue in queues:
            name = queue.encode()
            rc = lib.sa_core_allow_queue(self.handle, name, len(name))
            raise_for(rc, f"opening queue {queue!r}")
        base = ffi.cast("uint8_t *", segment.at)
        self.stats_row: Any = ffi.cast("struct sa_stats *", base + _PAGE)
        self.slots: Final[int] = self._super.slots
        self._arena_at: Final[int] = self._super.arena_at
        self._queues: Any = ffi.cast("struct sa_queue_row *", base + 2 * _PAGE)
        rows = 2 * _PAGE + 256 * 256
        self.worker_rows: Any = ffi.cast("struct sa_worker_row *", base + rows)
        self._events: Any = ffi.new("struct sa_event[]", _EVENTS)
        #: How often Python has called into C to have records moved.
        self.crossings = 0
        self._slots: Any = ffi.cast("struct sa_slot *", base + rows + 1024 * 64)

    # --- identity and life

    @property
    def epoch(self) -> int:
        return int(self._super.epoch)

    @property
    def instance(self) -> bytes:
        return bytes(ffi.buffer(self._super.instance))

    def begin_epoch(self) -> int:
        """Say that this process supervises from now on; returns the new epoch."""
        self._super.epoch += 1
        self._super.supervisor_pid = os.getpid()
        self._super.clean = 0
        return self.epoch

    def mark_clean(self) -> None:
        self._super.clean = 1

    def recover(self, now_ns: int, wall_ns: int) -> dict[str, int]:
        """Rebuild everything private from the slots; call once, after attaching."""
        out = ffi.new("struct sa_recovered *")
        raise_for(lib.sa_core_recover(self.handle, now_ns, wall_ns, out), "recovery")
        names = ("live", "finished", "requeued", "held", "bad")
        return {name: int(getattr(out, name)) for name in names}

    def check(self) -> int:
        """Walk every invariant; 0, or the number of the first broken one."""
        return int(lib.sa_core_check(self.handle))

    def close(self) -> None:
        handle, self.handle = self.handle, ffi.NULL
        if handle != ffi.NULL:
            lib.sa_core_close(handle)

    # --- stepping

    def run(self, bell: Any, *, poll_ns: int, sweep_ns: int) -> int:
        """Work until there is nothing; returns nanoseconds to sleep, 0 = again."""
        self.crossings += 1
        return int(lib.sa_core_run(self.handle, bell, _STEP_NS, poll_ns, sweep_ns))

    def step(self, now_ns: int, wall_ns: int, budget: int = 256) -> int:
        """One step at a given time; returns how many records moved."""
        return int(lib.sa_core_step(self.handle, now_ns, wall_ns, budget))

    def set_clock(self, now_ns: int, wall_ns: int) -> None:
        """Say what time it is, before verdicts that no step has preceded."""
        lib.sa_core_clock(self.handle, now_ns, wall_ns)

    def next_ns(self) -> int:
        return int(lib.sa_core_next(self.handle))

    def events(self) -> list[Event]:
        """Take the events that wait, at most 1,024."""
        self.crossings += 1
        n = lib.sa_core_events(self.handle, self._events, _EVENTS)
        if not n:
            return []
        data = ffi.buffer(self._events, n * _EVENT.size)
        return [Event._make(row) for row in _EVENT.iter_unpack(data)]

    def listen(self, wanted: int) -> None:
        """Tell news of the types whose bits stand in *wanted* from now on; 0: none."""
        lib.sa_core_listen(self.handle, wanted)

    def news(self) -> tuple[bytes, int]:
        """Take the news that wait, and how many found no room so far."""
        size, dropped = ffi.new("uint32_t *"), ffi.new("uint64_t *")
        at = lib.sa_core_news(self.handle, size, dropped)
        return bytes(ffi.buffer(at, size[0])), int(dropped[0])

    # --- looking

    def slot(self, number: int) -> SlotView:
        """Return a copy of slot *number*."""
        raw = bytes(ffi.buffer(self._slots + number, 128))
        f = _SLOT.unpack_from(raw)
        word = f[0]
        var = _VAR.unpack_from(raw, 80 + 24 * (word >> 59 & 1))
        return SlotView(
            number, word >> 60, word >> 44 & 0xFFF, word & 0xFFFFFFFF, f[1],
            f[2], f[3], f[5], f[6], f[7], f[11], f[12], *var,
        )  # fmt: skip

    def census(self) -> Counter[tuple[int, int]]:
        """Return how many slots there are of each queue and state."""
        table = memoryview(self._table())
        tops = table[_STATE_AT::_SLOT_BYTES].tolist()
        queues = table.cast("I")[_QUEUE_AT :: _SLOT_BYTES // 4].tolist()
        counts: Counter[tuple[int, int]] = Counter()
        for (queue, top), count in Counter(zip(queues, tops, strict=True)).items():
            counts[queue, top >> 4] += count
        return counts

    def numbers_in(self, *states: int) -> list[int]:
        """Return the numbers of the slots that are in one of *states*, ascending."""
        tops = memoryview(self._table())[_STATE_AT::_SLOT_BYTES].tolist()
        wanted = frozenset(states)
        return [number for number, top in enumerate(tops) if top >> 4 in wanted]

    def ids_in(self, *states: int, queue: int | None) -> list[tuple[bytes, int]]:
        """
        Return id and number of each slot that is in one of *states*.

        Args:
            states: States other than FREE.
            queue: Only of the queue with this number; None: of all.
        """
        table = memoryview(self._table())
        queues = table.cast("I")[_QUEUE_AT :: _SLOT_BYTES // 4]
        return [
            (bytes(table[at : at + 16]), number)
            for number in self.numbers_in(*states)
            if queue is None or queues[number] == queue
            for at in (number * _SLOT_BYTES + _ID_AT,)
        ]

    def find(self, task_id: bytes) -> SlotView | None:
        """Return the slot of a task, live or finished."""
        number = lib.sa_core_find(self.handle, task_id)
        return None if number == NO_SLOT else self.slot(number)

    def submitted(self, task_id: bytes) -> tuple[bytes, bool] | None:
        """
        Return the record of a task that is accepted and in no slot yet, and whether it
        was revoked; None if it waits in no submit ring. Looks through all of them.
        """
        record, size = ffi.new("uint8_t[]", lib.SA_RECORD_MAX), ffi.new("uint32_t *")
        rc = lib.sa_core_find_submitted(self.handle, task_id, record, size)
        if rc != Status.OK:
            return None
        is_revoked = bool(lib.sa_core_is_revoked(self.handle, task_id))
        return bytes(ffi.buffer(record, size[0])), is_revoked

    def revoke_submitted(self, task_id: bytes, payload: bytes) -> int:
        """
        Have such a task cancelled when it is admitted; returns a ``Status``.

        Args:
            task_id: Its id.
            payload: Its outcome.
        """
        size = len(payload)
        return int(lib.sa_core_revoke_submitted(self.handle, task_id, payload, size))

    def record(self, slot: SlotView) -> bytes:
        """Return the bytes of the slot's task record; empty once it is given up."""
        return self._bytes(slot.body_at, slot.body_len)

    def outcome(self, slot: SlotView) -> bytes:
        """Return the slot's outcome, or the last error of a task that lives on."""
        if not slot.out_len and slot.out_kind == lib.SA_CANCELLED:
            return bytes(ffi.string(lib.sa_mark_words(slot.marks, ffi.NULL)))
        return self._bytes(slot.out_at, slot.out_len)

    def queue_name(self, number: int) -> str:
        row = self._queues[number]
        return bytes(ffi.buffer(row.name, row.name_len)).decode()

    def queue_number(self, name: str) -> int | None:
        """Return the number of the queue *name*; None if there is none."""
        for number in range(_QUEUES):
            if self._queues[number].used and self.queue_name(number) == name:
                return number
        return None

    def queues(self) -> list[tuple[str, bool]]:
        """Return each queue's name and whether it is paused."""
        found = []
        for number in range(_QUEUES):
            if not self._queues[number].used:
                continue
            found.append((self.queue_name(number), bool(self._queues[number].paused)))
        return found

    def stats(self) -> dict[str, int]:
        return {
            name: int(getattr(self.stats_row, name))
            for name, _ in ffi.typeof("struct sa_stats").fields
        }

    def oldest_ready(self) -> tuple[int, int]:
        """Return how many tasks wait in open queues, and since when (monotonic)."""
        since = ffi.new("int64_t *")
        return int(lib.sa_core_oldest_ready(self.handle, since)), int(since[0])

    def backlog(self) -> tuple[int, int]:
        """The same with the tasks in workers' mailboxes, which have not started."""
        since = ffi.new("int64_t *")
        return int(lib.sa_core_backlog(self.handle, since)), int(since[0])

    def running(self, worker: int, cell: int) -> tuple[int, int] | None:
        """Return slot and start time of what runs in a worker's cell."""
        slot, began = ffi.new("uint32_t *"), ffi.new("int64_t *")
        rc = lib.sa_core_running(self.handle, worker, cell, slot, began)
        return (int(slot[0]), int(began[0])) if rc == Status.OK else None

    def _table(self) -> Any:
        """The slots as bytes that can be read while they change."""
        return ffi.buffer(self._slots, self.slots * _SLOT_BYTES)

    def _bytes(self, at: int, size: int) -> bytes:
        return self.segment.read(self._arena_at + 64 * at, size) if size else b""
