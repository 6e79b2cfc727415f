"""What a delayed task costs the core, from a thousand of them to a million."""

from __future__ import annotations

import mmap
import random
import statistics
import time
from contextlib import closing
from functools import partial
from typing import Any, Final

from bench.harness import Effort, Figure, figure_of, interleave, ratios
from stem_actor.ring.native import Status, ffi, lib, raise_for
from stem_actor.ring.record import TaskHead

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
#: Tasks that end at one time, and are submitted in one call.
BATCH: Final = 100
_RING_BYTES: Final = 1 << 20
_SECOND_NS: Final = 10**9
_WALL_NS: Final = 1_800_000_000 * _SECOND_NS
#: Each batch ends at a time drawn from this long.
_SPREAD_NS: Final = 3_600 * _SECOND_NS
_STEPS: Final = 64
_REPLIES: Final = 4_096
_ARENA_UNIT: Final = 64 << 10
#: Room for a task's record, 140 bytes, in the arena's classes.
_ARENA_EACH: Final = 384
_IDENTITY: Final = bytes(range(16))
_SEED: Final = 7


class Core:
    """A core and one producer in this process, under a clock that stands still."""

    def __init__(self, slots: int) -> None:
        self.wall_ns, self.mono_ns = _WALL_NS, _SECOND_NS
        self._keep: list[Any] = []
        self._status = ffi.new("int *")
        self._out = ffi.new("struct sa_reply[]", _REPLIES)
        self._data = ffi.new("uint8_t[]", _RING_BYTES)
        self._n = ffi.new("uint32_t *")
        self.handle = self._open_core(slots)
        self.producer = self._open_producer()

    def _open_core(self, slots: int) -> Any:
        units = -(-slots * _ARENA_EACH // _ARENA_UNIT)
        arena = max(units * _ARENA_UNIT, 1 << 20)
        size = lib.sa_arena_size(slots, arena)
        at = self._memory(size)
        rc = lib.sa_arena_init(at, size, slots, arena, _IDENTITY, _IDENTITY)
        raise_for(rc, "formatting the arena")
        options = ffi.new("struct sa_core_options *")
        options.workers_max = options.credits_max = options.result_ttl_ns = 1
        core = lib.sa_core_open(at, size, options, self._status)
        raise_for(self._status[0], "opening the core")
        return core

    def _open_producer(self) -> Any:
        caps = (_RING_BYTES, _RING_BYTES)
        size = lib.sa_ring_size(0, *caps)
        at, number = self._memory(size), lib.sa_core_next_producer_id(self.handle)
        raise_for(lib.sa_ring_init(at, size, number, 0, *caps, _IDENTITY), "the ring")
        row = ffi.new("uint32_t *")
        rc = lib.sa_core_attach_producer(self.handle, at, size, -1, row)
        raise_for(rc, "attaching the producer")
        found = ffi.new("struct sa_recovered *")
        rc = lib.sa_core_recover(self.handle, self.mono_ns, self.wall_ns, found)
        raise_for(rc, "recovery")
        bell = self._memory(4096)
        producer = lib.sa_producer_open(at, size, bell, -1, self._status)
        raise_for(self._status[0], "opening the producer")
        return producer

    def _memory(self, size: int) -> Any:
        mapped = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._keep += [mapped, ffi.from_buffer("uint8_t[]", mapped)]
        return ffi.cast("void *", self._keep[-1])

    def submit(self, ends_ns: int, count: int) -> None:
        """Submit *count* tasks that may never start and that end at *ends_ns*."""
        head = TaskHead(
            name="later",
            created_ns=_WALL_NS,
            not_before_ns=_WALL_NS + 2 * _SPREAD_NS,
            expires_ns=ends_ns,
        ).pack()
        ids, ends = ffi.new("uint8_t[]", 16 * count), ffi.new("uint32_t[]", count)
        ticket, status = ffi.new("uint64_t *"), ffi.new("int *")
        accepted = lib.sa_producer_submit(
            self.producer, head, len(head), b"", ends, count, ids, ticket, status
        )
        assert accepted == count, (accepted, status[0])
        self.settle()

    def settle(self) -> int:
        """Step until nothing moves; returns how many replies came."""
        replies = 0
        while self.step():
            replies += self._drain()
        return replies + self._drain()

    def step(self, after_ns: int = 0) -> int:
        """Let time pass on both clocks and step once; returns the records moved."""
        self.wall_ns += after_ns
        self.mono_ns += after_ns
        return int(lib.sa_core_step(self.handle, self.mono_ns, self.wall_ns, 256))

    def _drain(self) -> int:
        found = 0
        while True:
            rc = lib.sa_producer_drain(
                self.producer, self._out, _REPLIES, self._data, _RING_BYTES, self._n
            )
            if rc == Status.EMPTY:
                return found
            raise_for(rc, "reading replies")
            found += self._n[0]

    def close(self) -> None:
        """Give up what the core and the producer hold beside their memory."""
        lib.sa_producer_close(self.producer)
        lib.sa_core_close(self.handle)


def cost_ns(count: int) -> float:
    """
    Return CPU nanoseconds per task, from submission to the reply that it expired.

    Args:
        count: Tasks that wait at a time; a multiple of ``BATCH``.
    """
    chance = random.Random(_SEED)
    with closing(Core(count + count // 4)) as core:
        ends = [_WALL_NS + chance.randrange(_SPREAD_NS) for _ in range(count // BATCH)]
        began = time.thread_time_ns()
        for end_ns in ends:
            core.submit(end_ns, BATCH)
        ended = 0
        for _ in range(_STEPS):
            core.step(_SPREAD_NS // _STEPS)
            ended += core.settle()
        took = time.thread_time_ns() - began
    assert ended == count
    return took / count


def measure(effort: Effort) -> list[Figure]:
    """Return the cost at each size, and the largest beside the smallest."""
    sizes = SIZES[:-1] if effort.quick else SIZES
    # A small ring is done in a millisecond: many of them make a sample.
    costs = interleave(
        {str(size): partial(_mean_cost_ns, size) for size in sizes}, effort
    )
    figures = [
        figure_of(f"a delayed task among {size:,}, CPU", "ns", costs[str(size)])
        for size in sizes
    ]
    note = "submit, admit, wait in the heap, expire, reply; one core, one process"
    growth = ratios(costs[str(sizes[-1])], costs[str(sizes[0])])
    return [
        *figures,
        figure_of(
            f"a delayed task, {sizes[-1]:,} to {sizes[0]:,}", "x", growth, note=note
        ),
    ]


def _mean_cost_ns(size: int) -> float:
    """Return the cost at *size*, over at least a hundred thousand tasks."""
    rounds = max(1, 100_000 // size)
    return statistics.fmean(cost_ns(size) for _ in range(rounds))
