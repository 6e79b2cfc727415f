"""Limits, deadlines, clocks and sleep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import ffi, lib

from .harness import MS, SECOND, Arena
from .memory import Kind, State, Told
from .peers import Task

Make = Callable[..., Arena]

CELLS_AT = 4096


def test_limits_fire_once_for_a_start_and_never_for_an_offer(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(soft_ns=10 * MS, hard_ns=20 * MS), [b""] * 2)
    worker = arena.start_worker(0)
    arena.settle()
    arena.step(SECOND)
    before = arena.events()

    worker.take()
    seen = []
    for _ in range(5):
        arena.step(11 * MS)
        seen += [event.type for event in arena.events()]

    assert before == []
    assert sorted(seen) == [Told.SOFT, Told.HARD]


def test_a_start_time_that_lies_does_not_move_a_limit(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(hard_ns=20 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    worker.take()
    ring, started_at = arena.worker_rings[0], CELLS_AT + 8 * 8
    for lie in (0, 2**63, 2**63 - 1):
        for cell in range(8):
            ring.set_word(started_at + 8 * cell, lie)
        arena.step(MS)
    early = arena.events()

    arena.step(20 * MS)

    assert early == []
    assert [event.type for event in arena.events()] == [Told.HARD]


@pytest.mark.case(46)
@pytest.mark.parametrize("jump_ns", [-3600 * SECOND, 3600 * SECOND])
def test_a_limit_is_not_moved_by_the_wall_clock(arena_of: Make, jump_ns: int) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(hard_ns=20 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    worker.take()
    arena.step(MS)

    arena.wall_ns += jump_ns
    early = arena.step(10 * MS) and arena.events()
    arena.wall_ns -= 2 * jump_ns
    arena.step(11 * MS)

    assert not early
    assert [event.type for event in arena.events()] == [Told.HARD]


def test_an_offer_past_its_deadline_does_not_keep_the_supervisor_awake(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(deadline_ns=arena.wall_ns + MS), [b""] * 2)
    worker = arena.start_worker(0)
    arena.settle()
    worker.take()
    arena.step(5 * MS)
    arena.step(MS)

    assert lib.sa_core_next(arena.core) > arena.now_ns


def test_a_held_task_does_not_expire_while_its_verdict_is_owed(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    [accepted] = producer.submit(Task(expires_ns=arena.wall_ns + 10 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    worker.take()
    arena.crash_worker(0)

    arena.step(SECOND)

    slot = arena.find(accepted.id)
    assert slot is not None
    assert slot.state is State.HELD
    lib.sa_core_release(arena.core, slot.number, slot.gen, b"", 0)
    arena.settle()
    assert [reply.kind for reply in producer.drain()] == [Kind.CANCELLED]


@pytest.mark.parametrize("drift_ns", [-3 * MS, 3 * MS])
def test_a_slewed_wall_clock_makes_no_timer_fire_over_and_over(
    arena_of: Make, drift_ns: int
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(not_before_ns=arena.wall_ns + 50 * MS))
    arena.step()
    arena.wall_ns += drift_ns

    moved = arena.step(50 * MS) + arena.step()

    assert moved <= 2


def test_a_refused_submission_wakes_its_sender(arena_of: Make) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    [first] = producer.submit(Task())
    arena.settle()
    producer.submit(Task(id=first.id))
    assert lib.sa_producer_arm(producer.handle) == lib.SA_EMPTY

    arena.step()

    ring = next(iter(arena.producer_rings.values()))
    flags = ffi.cast("uint32_t *", ring.bytes + 640)[1]
    assert flags == 0  # whoever slept was told to look
    assert [reply.kind for reply in producer.drain()] == [Kind.DUPLICATE]


def test_a_full_supervisor_sleeps_and_does_not_spin(arena_of: Make) -> None:
    arena = arena_of(slots=64)
    _, producer = arena.connect()
    producer.submit(Task(created_ns=1), [b""] * 100)
    arena.now_ns, arena.wall_ns = lib.sa_mono_ns(), lib.sa_wall_ns()
    arena.settle()
    assert not producer.admitted

    sleep_ns = lib.sa_core_run(arena.core, arena.bell.at, 20 * MS, 0, 50 * MS)

    assert sleep_ns > 0
    assert ffi.cast("uint32_t *", arena.bell.bytes)[0] == 1  # the bell is armed


def test_a_task_that_expires_in_a_mailbox_is_cancelled_and_was_never_started(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(Task(expires_ns=arena.wall_ns + 10 * MS))
    arena.settle()
    grant = worker.take()

    assert grant.expires_ns == arena.wall_ns + 10 * MS
    worker.report(grant, lib.SA_EXPIRED, b"")
    arena.settle()

    (reply,) = producer.drain()
    assert reply.kind == Kind.CANCELLED
    assert reply.starts == 0
