"""One core with its rings and peers, all in this process, under a virtual clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stem_actor._core import ffi, lib

from .memory import Fault, Memory, SlotView, State, slot_view
from .peers import Producer, ScriptedWorker

SECOND = 1_000_000_000
MS = 1_000_000
#: Wall time at the start of each test.
EPOCH = 1_800_000_000 * SECOND
NONE = 0xFFFFFFFF


@dataclass(kw_only=True)
class Shape:
    """How large everything is."""

    slots: int = 128
    arena_bytes: int = 1 << 20
    workers: int = 2
    cells: int = 8
    concurrency: int = 1
    ring_bytes: int = 1 << 16
    child_reserve: int = 0
    result_ttl_ns: int = 60 * SECOND
    dwell_ns: int = 5 * MS
    credits_max: int = 4


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the core."""

    type: int
    slot: int
    gen: int
    worker: int
    a: int
    b: int
    id: bytes


@dataclass
class Arena:
    """The core, its rings, and whoever is connected to them."""

    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        shape, instance = self.shape, bytes(range(16))
        self.now_ns, self.wall_ns = SECOND, EPOCH
        self.bell = Memory(4096)
        self.segment = Memory(lib.sa_arena_size(shape.slots, shape.arena_bytes))
        rc = lib.sa_arena_init(
            *(self.segment.at, self.segment.size, shape.slots),
            *(shape.arena_bytes, instance, instance),
        )
        assert rc == lib.SA_OK
        size = lib.sa_ring_size(shape.cells, shape.ring_bytes, shape.ring_bytes)
        self.worker_rings = [Memory(size) for _ in range(shape.workers)]
        for worker, ring in enumerate(self.worker_rings):
            self._lay(ring, worker, shape.cells)
        self.producer_rings: dict[int, Memory] = {}
        self.workers: dict[int, ScriptedWorker] = {}
        self.recovered: Any = None
        self.core: Any = ffi.NULL
        self._open()

    def _lay(self, ring: Memory, number: int, cells: int) -> None:
        caps = (self.shape.ring_bytes, self.shape.ring_bytes)
        rc = lib.sa_ring_init(
            ring.at, ring.size, number, cells, *caps, bytes(range(16))
        )
        assert rc == lib.SA_OK

    def _open(self) -> None:
        options = ffi.new("struct sa_core_options *")
        options.workers_max = self.shape.workers
        options.child_reserve = self.shape.child_reserve
        options.result_ttl_ns = self.shape.result_ttl_ns
        options.dwell_ns = self.shape.dwell_ns
        options.credits_max = self.shape.credits_max
        status = ffi.new("int *")
        self.core = lib.sa_core_open(
            self.segment.at, self.segment.size, options, status
        )
        assert self.core != ffi.NULL, status[0]
        for worker, ring in enumerate(self.worker_rings):
            rc = lib.sa_core_attach_worker(
                self.core, worker, ring.at, ring.size, self.shape.concurrency
            )
            assert rc == lib.SA_OK
        for ring in self.producer_rings.values():
            self._attach(ring)
        self.recovered = ffi.new("struct sa_recovered *")
        rc = lib.sa_core_recover(self.core, self.now_ns, self.wall_ns, self.recovered)
        assert rc == lib.SA_OK

    def _attach(self, ring: Memory) -> int:
        row = ffi.new("uint32_t *")
        rc = lib.sa_core_attach_producer(self.core, ring.at, ring.size, -1, row)
        assert rc == lib.SA_OK
        return int(row[0])

    # --- peers come and go ---------------------------------------------------

    def connect(self, at: int = 0) -> tuple[int, Producer]:
        """Return the row of a new producer and the producer; *at*: ring position."""
        number = lib.sa_core_next_producer_id(self.core)
        caps = (self.shape.ring_bytes, self.shape.ring_bytes)
        ring = Memory(lib.sa_ring_size(0, *caps))
        self._lay(ring, number, 0)
        set_positions(ring, at)
        row = self._attach(ring)
        self.producer_rings[row] = ring
        return row, Producer(ring, self.bell)

    def detach(self, row: int) -> int:
        """Detach a dead producer; return the status."""
        rc = int(lib.sa_core_detach_producer(self.core, row))
        if rc == lib.SA_OK:
            del self.producer_rings[row]
        return rc

    def start_worker(self, worker: int = 0, *, spare: bool = False) -> ScriptedWorker:
        """Bring worker *worker* up."""
        rc = lib.sa_core_worker_live(self.core, worker, 1, spare, -1)
        assert rc == lib.SA_OK
        self.workers[worker] = ScriptedWorker(
            self.worker_rings[worker], self.segment, self.bell
        )
        return self.workers[worker]

    def crash_worker(
        self, worker: int, fault: Fault = Fault.CRASH, own_slot: int = NONE
    ) -> int:
        """Let the worker die, and tell the core; return the status."""
        self.workers.pop(worker).close()
        return int(lib.sa_core_worker_died(self.core, worker, fault, own_slot))

    def crash_supervisor(self) -> None:
        """Drop the core, fence the workers, and recover over the same memory."""
        for worker in list(self.workers):
            self.workers.pop(worker).close()
        lib.sa_core_close(self.core)
        self._open()

    def close(self) -> None:
        """Release private memory."""
        for worker in self.workers.values():
            worker.close()
        lib.sa_core_close(self.core)

    # --- time and looks ------------------------------------------------------

    def step(self, after_ns: int = 0, budget: int = 256) -> int:
        """Let time pass on both clocks, and step once."""
        self.now_ns += after_ns
        self.wall_ns += after_ns
        return int(lib.sa_core_step(self.core, self.now_ns, self.wall_ns, budget))

    def settle(self) -> None:
        """Step until nothing moves."""
        for _ in range(10_000):
            if not self.step():
                return
        raise AssertionError("the core does not come to rest")

    def check(self) -> int:
        """Return the number of the first broken invariant, 0 for none."""
        return int(lib.sa_core_check(self.core))

    def events(self) -> list[Event]:
        """Take the events there are."""
        out = ffi.new("struct sa_event[]", 8192)
        n = lib.sa_core_events(self.core, out, len(out))
        return [
            Event(
                *(e.type, e.slot, e.gen, e.worker, e.a, e.b),
                bytes(ffi.buffer(e.id, 16)),
            )
            for e in out[0:n]
        ]

    def slot(self, number: int) -> SlotView:
        """Return a slot as it is now."""
        return slot_view(self.segment, number)

    def find(self, task_id: bytes) -> SlotView | None:
        """Return the slot of a task, or None."""
        number = lib.sa_core_find(self.core, task_id)
        return None if number == NONE else self.slot(number)

    def live_slots(self) -> list[SlotView]:
        """Return every slot that is not free."""
        views = map(self.slot, range(self.shape.slots))
        return [view for view in views if view.state is not State.FREE]


#: Byte offsets of the position words: submit tail and head, report tail and head.
POSITIONS = (128, 256, 384, 512)


def set_positions(ring: Memory, at: int) -> None:
    """Let the positions of a fresh ring start at *at* (32-aligned, modulo 2^64)."""
    for offset in POSITIONS:
        ring.set_word(offset, at % 2**64)
