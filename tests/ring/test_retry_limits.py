"""Limits that a start has set for the next attempts of its task."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from stem_actor._core import ffi, lib

from .harness import MS, Arena
from .memory import Kind, Told
from .peers import ScriptedWorker, Task

Make = Callable[..., Arena]

LIMITS = struct.Struct("<II")
RETRY_LIMITED: Any = lib.SA_RETRY_LIMITED
#: Where a slot keeps its stamp: a wall time, or the two limits.
STAMP_AT = 72


def limited(arena: Arena, task: Task, soft_ms: int, hard_ms: int) -> ScriptedWorker:
    """Run the first attempt of *task*, which sets limits; return the worker."""
    _, producer = arena.connect()
    producer.submit(task)
    worker = arena.start_worker(0)
    arena.settle()
    head = LIMITS.pack(soft_ms, hard_ms)
    assert worker.report(worker.take(), RETRY_LIMITED, head + b"error") == lib.SA_OK
    arena.settle()
    return worker


def limits_of(grant: Any) -> tuple[int, int]:
    return grant.soft_ns, grant.hard_ns


def test_the_next_attempt_runs_under_the_new_limits_and_sees_its_error(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    worker = limited(arena, Task(hard_ns=20 * MS), 0, 50)

    grant = worker.take()
    seen = []
    for _ in range(8):  # its start is seen at the first of them
        arena.step(11 * MS)
        seen.append([event.type for event in arena.events()])

    assert limits_of(grant) == (0, 50 * MS)
    assert bytes(ffi.buffer(grant.error, grant.error_len)) == b"error"
    assert [Told.HARD in each for each in seen] == [False] * 5 + [True] + [False] * 2
    assert arena.check() == 0


def test_a_task_without_limits_gets_them(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    worker = limited(arena, Task(), 5, 10)
    grant = worker.take()
    arena.step(MS)
    arena.step(11 * MS)
    told = sorted(event.type for event in arena.events())

    assert limits_of(grant) == (5 * MS, 10 * MS)
    assert [Told.SOFT in told, Told.HARD in told] == [True, True]


def test_limits_outlive_plain_retries_and_the_supervisor(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    worker = limited(arena, Task(hard_ns=20 * MS), 7, 50)
    worker.report(worker.take(), Kind.RETRY, b"again")
    arena.settle()
    arena.crash_supervisor()
    worker = arena.start_worker(0)
    arena.settle()

    grant = worker.take()

    assert (limits_of(grant), grant.attempt) == ((7 * MS, 50 * MS), 2)


def test_a_wall_time_that_a_dead_supervisor_left_is_no_limit(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    (accepted,) = producer.submit(Task(hard_ns=20 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    slot = arena.find(accepted.id)
    assert slot is not None
    stamp(arena, slot.number, arena.wall_ns)

    assert limits_of(worker.take()) == (0, 20 * MS)


@pytest.mark.parametrize("payload", [b"", b"1234567", LIMITS.pack(0, 1 << 28)])
def test_limits_that_cannot_be_are_corrupt(arena_of: Make, payload: bytes) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()

    worker.report(worker.take(), RETRY_LIMITED, payload)
    arena.settle()

    assert Told.CORRUPT in [event.type for event in arena.events()]


def stamp(arena: Arena, number: int, value: int) -> None:
    """Write *value* where slot *number* keeps its stamp."""
    arena.segment.set_word(slots_at() + 128 * number + STAMP_AT, value)


def slots_at() -> int:
    """Pages for superblock and counters, then queue rows, then worker rows."""
    return 2 * 4096 + 256 * 256 + 1024 * 64
