"""What a start may do with its limits, and how one ends that was told to stop."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import pytest
from stem_actor._core import ffi, lib

from .harness import MS, SECOND, Arena
from .memory import Fault, Kind, State, Told
from .peers import Producer, ScriptedWorker, Task

Make = Callable[..., Arena]

METERED = 1  # a limit on memory


def started(arena: Arena, task: Task) -> tuple[Producer, ScriptedWorker, Any]:
    """Submit *task* and have worker 0 take it; return its grant."""
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(task)
    arena.settle()
    grant = worker.take()
    assert grant is not None
    arena.step()
    return producer, worker, grant


def limits_until(arena: Arena, end_ns: int, step_ns: int = MS) -> dict[int, int]:
    """Step until *end_ns*; return when each limit was told of."""
    told: dict[int, int] = {}
    while arena.now_ns < end_ns:
        arena.step(step_ns)
        for event in arena.events():
            if event.type in (Told.SOFT, Told.HARD):
                assert event.type not in told, "told twice"
                told[event.type] = arena.now_ns
    return told


# --- extensions


@pytest.mark.parametrize(
    ("asked_ms", "granted_ms"), [([20], 20), ([500], 30), ([20, 20, 20], 30)]
)
def test_an_extension_moves_both_limits_and_is_capped_in_all(
    arena_of: Make, asked_ms: list[int], granted_ms: int
) -> None:
    arena = arena_of(workers=1)
    task = Task(soft_ns=20 * MS, hard_ns=40 * MS, extension_ms=30)
    _, worker, grant = started(arena, task)
    began = arena.now_ns
    for ms in asked_ms:
        worker.report(grant, Kind.EXTEND_LIMIT, delay_ns=ms * MS)

    told = limits_until(arena, began + 200 * MS)

    assert told == {
        Told.SOFT: began + (20 + granted_ms) * MS,
        Told.HARD: began + (40 + granted_ms) * MS,
    }


def test_without_a_declared_extension_nothing_moves(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, worker, grant = started(arena, Task(soft_ns=20 * MS, hard_ns=40 * MS))
    began = arena.now_ns
    worker.report(grant, Kind.EXTEND_LIMIT, delay_ns=SECOND)

    told = limits_until(arena, began + 100 * MS)

    assert told == {Told.SOFT: began + 20 * MS, Told.HARD: began + 40 * MS}


def test_a_heartbeat_moves_no_limit(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    task = Task(soft_ns=20 * MS, hard_ns=40 * MS, extension_ms=30)
    _, worker, grant = started(arena, task)
    began = arena.now_ns
    worker.report(grant, Kind.EXTEND, delay_ns=SECOND)

    told = limits_until(arena, began + 100 * MS)

    assert told == {Told.SOFT: began + 20 * MS, Told.HARD: began + 40 * MS}


def test_an_extension_belongs_to_its_start(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    task = Task(hard_ns=20 * MS, extension_ms=30)
    _, worker, grant = started(arena, task)
    worker.report(grant, Kind.EXTEND_LIMIT, delay_ns=30 * MS)
    worker.report(grant, Kind.RETRY)
    arena.settle()
    assert worker.take() is not None
    arena.step()
    began = arena.now_ns

    told = limits_until(arena, began + 100 * MS)

    assert told == {Told.HARD: began + 20 * MS}


def test_no_extension_lifts_the_deadline(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    deadline_ns = arena.wall_ns + 30 * MS
    task = Task(hard_ns=20 * MS, extension_ms=500, deadline_ns=deadline_ns)
    _, worker, grant = started(arena, task)
    began = arena.now_ns
    worker.report(grant, Kind.EXTEND_LIMIT, delay_ns=500 * MS)

    told = limits_until(arena, began + 100 * MS)

    assert told == {Told.HARD: began + 30 * MS}


# --- deadlines


def test_a_deadline_without_a_limit_is_one(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, _, grant = started(arena, Task(deadline_ns=arena.wall_ns + 30 * MS))
    began = arena.now_ns

    told = limits_until(arena, began + 100 * MS)

    assert grant.deadline_ns == arena.wall_ns - 70 * MS
    assert told == {Told.HARD: began + 30 * MS}


def test_a_task_past_its_deadline_is_not_started(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(deadline_ns=arena.wall_ns + 10 * MS))
    arena.step()

    arena.step(20 * MS)
    arena.settle()

    (reply,) = producer.drain()
    assert (reply.kind, reply.starts) == (Kind.CANCELLED, 0)


@pytest.mark.parametrize(
    ("expires_ms", "deadline_ms", "earliest_ms"),
    [(10, 20, 10), (20, 10, 10), (0, 10, 10)],
)
def test_a_worker_is_told_the_earlier_of_expiry_and_deadline(
    arena_of: Make, expires_ms: int, deadline_ms: int, earliest_ms: int
) -> None:
    arena = arena_of(workers=1)
    wall = arena.wall_ns
    task = Task(
        expires_ns=wall + expires_ms * MS if expires_ms else 0,
        deadline_ns=wall + deadline_ms * MS,
    )

    _, _, grant = started(arena, task)

    assert grant.expires_ns == wall + earliest_ms * MS


# --- starts that were told to stop


def test_a_start_that_is_handed_back_is_neither_an_attempt_nor_a_crash(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    producer, worker, grant = started(arena, Task())

    worker.report(grant, Kind.HANDED_BACK)
    arena.settle()
    again = worker.take()
    worker.report(again, Kind.SUCCEEDED)
    arena.settle()

    assert (again.starts, again.attempt) == (2, 0)
    (reply,) = producer.drain()
    assert (reply.kind, reply.attempt, reply.starts) == (Kind.SUCCEEDED, 0, 2)


def test_a_start_that_is_handed_back_goes_in_front_of_all_that_was_not_offered(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    producer, worker, grant = started(arena, Task(body=b"first"))
    producer.submit(Task(), [b"%d" % number for number in range(40)])
    arena.settle()

    worker.report(grant, Kind.HANDED_BACK)
    order = []
    for _ in range(41):
        arena.settle()
        again = worker.take()
        order.append(bytes(ffi.buffer(again.body, again.body_len)))
        worker.report(again, Kind.SUCCEEDED)

    assert len(set(order)) == 41
    assert order.index(b"first") <= arena.shape.cells


def test_a_start_that_has_stopped_waits_for_the_verdict(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, worker, grant = started(arena, Task())
    arena.events()

    worker.report(grant, Kind.STOPPED, b"facts")
    arena.settle()

    (held,) = [it for it in arena.events() if it.type == Told.HELD]
    slot = arena.slot(held.slot)
    assert slot.state is State.HELD
    assert (held.a, held.b) == (lib.SA_FAULT_REVOKED, lib.SA_HELD_TOLD)
    assert (slot.starts, slot.attempt, slot.crashes) == (1, 0, 0)


def test_an_ending_after_a_stop_is_not_heard(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    producer, worker, grant = started(arena, Task())
    worker.report(grant, Kind.STOPPED, b"facts")
    arena.settle()

    worker.report(grant, Kind.SUCCEEDED, b"late")
    arena.settle()

    assert producer.drain() == []
    assert [it.state for it in arena.live_slots()] == [State.HELD]


@pytest.mark.parametrize("fault", [Fault.HARD, Fault.CRASH, Fault.COLLATERAL])
def test_all_that_were_past_their_hard_limit_at_a_death_have_ended_for_it(
    arena_of: Make, fault: Fault
) -> None:
    arena = arena_of(workers=1, concurrency=3)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(Task(hard_ns=20 * MS))
    producer.submit(Task(hard_ns=25 * MS))
    producer.submit(Task(hard_ns=90 * MS))
    arena.settle()
    grants = [worker.take() for _ in range(3)]
    arena.step()
    arena.step(30 * MS)
    arena.events()

    arena.crash_worker(0, fault, grants[0].slot)

    held = {it.slot: it.a for it in arena.events() if it.type == Told.HELD}
    assert [held[it.slot] for it in grants] == [
        Fault.HARD,
        Fault.HARD,
        Fault.COLLATERAL,
    ]


# --- meters and gaps


def test_an_offer_with_limits_of_its_own_is_told_of(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    arena.start_worker(0)
    producer.submit(Task(meters=METERED))
    producer.submit(Task())

    arena.settle()

    metered = [it for it in arena.events() if it.type == Told.METERED]
    assert len(metered) == 1
    slot = arena.slot(metered[0].slot)
    assert (slot.gen, slot.state) == (metered[0].gen, State.LEASED)
    assert metered[0].worker == 0


def test_time_in_which_the_supervisor_was_stopped_counts_for_nobody(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    arena.now_ns, arena.wall_ns = lib.sa_mono_ns(), lib.sa_wall_ns()
    _, _, _ = started(arena, Task(soft_ns=400 * MS, hard_ns=800 * MS))
    run(arena)
    began = lib.sa_mono_ns()

    select.select([], [], [], 1.2)  # it is stopped for more than a second
    gap_ns = lib.sa_mono_ns() - began
    run(arena)

    assert limits_in(arena) == []
    while not (told := limits_in(arena)):
        run(arena)
    assert told == [Told.SOFT]
    assert lib.sa_mono_ns() - began >= gap_ns + 300 * MS


def run(arena: Arena) -> None:
    """Run the core by the real clocks, as the supervisor does."""
    lib.sa_core_run(arena.core, arena.bell.at, 0, 0, 50 * MS)


def limits_in(arena: Arena) -> list[int]:
    """Return the limits told of since the last call."""
    return [it.type for it in arena.events() if it.type in (Told.SOFT, Told.HARD)]
