"""Workers that are alive and do nothing: stopped, or with a loop that is blocked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import lib

from .harness import MS, Arena
from .memory import Kind, State
from .peers import Task, task_id

Make = Callable[..., Arena]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_offer_that_is_not_begun_goes_to_a_worker_that_rests(
    arena_of: Make, concurrency: int
) -> None:
    arena = arena_of(workers=2, concurrency=concurrency)
    _, producer = arena.connect()
    workers = [arena.start_worker(0), arena.start_worker(1)]
    [accepted] = producer.submit(Task())
    arena.settle()
    slot = arena.find(accepted.id)
    assert slot is not None
    assert slot.state is State.LEASED
    other = workers[1 - slot.owner]

    arena.step(40 * MS)
    assert other.take() is None  # it may just be waking up
    arena.step(20 * MS)
    grant = other.take()

    assert task_id(grant) == accepted.id
    assert workers[slot.owner].take() is None
    other.report(grant, Kind.SUCCEEDED, b"")
    arena.settle()
    after = arena.find(accepted.id)
    assert after is not None
    assert (after.state, after.starts) == (State.FINISHED, 1)


def test_where_nobody_rests_an_offer_stays_where_it_is(arena_of: Make) -> None:
    arena = arena_of(workers=1, concurrency=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    [accepted] = producer.submit(Task())
    arena.settle()

    arena.step(500 * MS)

    assert task_id(worker.take()) == accepted.id


def test_a_crash_that_nobody_is_marked_for_is_that_of_a_task_run_alone(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1, concurrency=2)
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    for _ in range(4):
        worker = arena.start_worker(0)
        arena.settle()
        assert task_id(worker.take()) == accepted.id
        arena.crash_worker(0)
        slot = arena.find(accepted.id)
        assert slot is not None
        lib.sa_core_release(arena.core, slot.number, slot.gen, b"", 0)

    slot = arena.find(accepted.id)
    assert slot is not None
    assert (slot.collaterals, slot.crashes) == (3, 1)
