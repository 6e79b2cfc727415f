"""What a death, or a wild write before it, leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import ffi, lib

from .harness import NONE, SECOND, Arena
from .memory import Fault, Kind, State, Told
from .peers import Producer, Task, task_id

Make = Callable[..., Arena]

SUBMIT_TAIL, REPORT_TAIL = 128, 384
CELLS_AT = 4096


def running(arena: Arena, count: int = 1) -> tuple[Producer, list[bytes]]:
    """Return a producer, and the ids of tasks worker 0 has taken."""
    _, producer = arena.connect()
    accepted = producer.submit(Task(), [b""] * count)
    worker = arena.start_worker(0)
    arena.settle()
    for _ in range(count):
        assert worker.take() is not None
    return producer, [each.id for each in accepted]


def test_only_the_task_that_killed_its_worker_gets_the_crash(arena_of: Make) -> None:
    arena = arena_of(concurrency=3)
    _, ids = running(arena, 3)
    culprit = arena.find(ids[1])
    assert culprit is not None

    arena.crash_worker(0, Fault.CRASH, culprit.number)

    slots = [arena.find(each) for each in ids]
    assert [(s.state, s.starts, s.crashes, s.collaterals) for s in slots if s] == [
        (State.HELD, 1, 0, 1),
        (State.HELD, 1, 1, 0),
        (State.HELD, 1, 0, 1),
    ]


def test_the_coroutine_that_ran_gets_the_crash(arena_of: Make) -> None:
    arena = arena_of(concurrency=3)
    _, producer = arena.connect()
    ids = [each.id for each in producer.submit(Task(), [b""] * 3)]
    worker = arena.start_worker(0)
    arena.settle()
    grants = [worker.take() for _ in ids]
    lib.sa_worker_mark(worker.handle, grants[2].cell)

    arena.crash_worker(0)

    slots = [arena.find(each) for each in ids]
    assert [slot.crashes for slot in slots if slot] == [0, 0, 1]
    assert [slot.collaterals for slot in slots if slot] == [1, 1, 0]


def test_after_three_collaterals_a_task_runs_alone(arena_of: Make) -> None:
    arena = arena_of(concurrency=2, workers=1)
    _, producer = arena.connect()
    [suspect] = producer.submit(Task(priority=9))
    for _ in range(3):
        worker = arena.start_worker(0)
        arena.settle()
        assert task_id(worker.take()) == suspect.id
        arena.crash_worker(0)  # no coroutine was marked: nobody's crash
        slot = arena.find(suspect.id)
        assert slot is not None
        lib.sa_core_release(arena.core, slot.number, slot.gen, b"", 0)
    lib.sa_core_pause(arena.core, b"default", 7, 1)
    producer.submit(Task(queue="other"), [b""] * 3)
    worker = arena.start_worker(0)
    arena.settle()
    busy = [worker.take(), worker.take()]

    lib.sa_core_pause(arena.core, b"default", 7, 0)
    seen = []
    for grant in busy:
        arena.settle()
        offered = worker.take()
        seen.append(offered and task_id(offered) == suspect.id)
        worker.report(grant, Kind.SUCCEEDED)
        busy += [offered] if offered and not seen[-1] else []
    arena.settle()
    alone = worker.take()

    assert True not in seen, "it ran beside others"
    assert alone is not None
    assert task_id(alone) == suspect.id
    arena.settle()
    assert worker.take() is None


def test_an_outcome_published_before_death_is_a_success(arena_of: Make) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()
    worker.report(worker.take(), Kind.SUCCEEDED, b"done")

    arena.crash_worker(0)

    slot = arena.find(accepted.id)
    assert slot is not None
    assert (slot.state, slot.starts, slot.crashes) == (State.FINISHED, 1, 0)


@pytest.mark.parametrize("supervisor_too", [False, True])
def test_a_scribbled_outbox_costs_its_worker_and_nobody_else(
    arena_of: Make, supervisor_too: bool
) -> None:
    arena = arena_of(workers=2)
    _, ids = running(arena)
    ring = arena.worker_rings[0]
    ring.set_word(REPORT_TAIL, 96)  # three headers of zeroes that are no records

    arena.step()
    told = [event.worker for event in arena.events() if event.type == Told.CORRUPT]
    arena.crash_supervisor() if supervisor_too else arena.crash_worker(0)

    slot = arena.find(ids[0])
    assert told == [0]
    assert slot is not None
    assert (slot.state, slot.starts, slot.crashes) == (State.HELD, 1, 1)
    assert lib.sa_core_release(arena.core, slot.number, slot.gen, b"", 0) == lib.SA_OK
    worker = arena.start_worker(0)
    arena.settle()
    assert worker.report(worker.take(), Kind.SUCCEEDED) == lib.SA_OK
    arena.settle()
    again = arena.find(ids[0])
    assert again is not None
    assert again.state is State.FINISHED


def test_a_scribbled_submit_ring_does_not_cost_a_committed_outcome(
    arena_of: Make,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    arena.worker_rings[0].set_word(SUBMIT_TAIL, 96)
    arena.step()
    worker.report(grant, Kind.SUCCEEDED)

    arena.crash_worker(0)

    slot = arena.find(accepted.id)
    assert slot is not None
    assert (slot.state, slot.crashes) == (State.FINISHED, 0)


def test_a_submit_ring_found_corrupt_at_death_does_not_haunt_the_next_worker(
    arena_of: Make,
) -> None:
    arena = arena_of()
    arena.start_worker(0)
    arena.settle()
    arena.worker_rings[0].set_word(SUBMIT_TAIL, 96)

    arena.crash_worker(0)
    arena.start_worker(0)
    child = Producer(arena.worker_rings[0], arena.bell)
    [accepted] = child.submit(Task())
    arena.settle()

    assert not [event for event in arena.events() if event.type == Told.CORRUPT]
    assert arena.find(accepted.id) is not None
    child.close()


def test_children_of_a_dead_worker_are_admitted_once_there_is_room(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=64)
    _, producer = arena.connect()
    producer.submit(Task(), [b""] * 64)
    arena.start_worker(0)
    arena.settle()
    child = Producer(arena.worker_rings[0], arena.bell)
    accepted = child.submit(Task(), [b""] * 3)
    child.close()

    arena.crash_worker(0)
    worker = arena.start_worker(1)  # worker 0 never comes back
    for _ in range(70):
        arena.settle()
        grant = worker.take()
        if grant is not None:
            worker.report(grant, Kind.SUCCEEDED)
        producer.drain()

    assert all(arena.find(each.id) for each in accepted)


def test_a_producer_that_comes_after_a_recovery_inherits_nobodys_results(
    arena_of: Make,
) -> None:
    arena = arena_of()
    row, old = arena.connect()
    old.submit(Task(), [b""] * 3)
    old.close()
    assert arena.detach(row) == lib.SA_OK

    arena.crash_supervisor()
    _, new = arena.connect()
    [mine] = new.submit(Task())
    worker = arena.start_worker(0)
    for _ in range(4):
        arena.settle()
        worker.report(worker.take(), Kind.SUCCEEDED)
    arena.settle()

    assert [reply.ticket for reply in new.drain()] == [mine.ticket]


def test_a_record_is_not_admitted_twice_near_the_wrap_of_the_positions(
    arena_of: Make,
) -> None:
    arena = arena_of()
    _, producer = arena.connect(2**64 - 512)
    ring = next(iter(arena.producer_rings.values()))
    accepted = producer.submit(Task(), [b"x" * 50] * 8)
    arena.settle()
    ring.set_word(256, 2**64 - 512)  # as if the head had not been stored

    arena.crash_supervisor()
    arena.settle()

    assert len(arena.live_slots()) == len(accepted)
    assert producer.admitted
    assert producer.drain() == []


def test_a_torn_cell_or_a_cell_of_another_start_is_no_start(arena_of: Make) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    arena.start_worker(0)
    arena.settle()
    slot = arena.find(accepted.id)
    assert slot is not None
    stale = 2 << 62 | (slot.starts + 2) << 48 | slot.gen << 32 | slot.number
    for cell in range(8):
        arena.worker_rings[0].set_word(CELLS_AT + 8 * cell, stale)

    arena.crash_supervisor()

    after = arena.find(accepted.id)
    assert after is not None
    assert (after.state, after.starts) == (State.READY, 0)


def test_a_late_outcome_of_an_older_start_is_dropped(arena_of: Make) -> None:
    arena = arena_of(workers=2)
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    arena.crash_worker(0)
    slot = arena.find(accepted.id)
    assert slot is not None
    lib.sa_core_release(arena.core, slot.number, slot.gen, b"", 0)
    again = arena.start_worker(0)
    arena.settle()
    fresh = again.take()

    again.report(grant, Kind.FAILED, b"late")
    arena.settle()
    state = arena.slot(slot.number).state
    again.report(fresh, Kind.SUCCEEDED)
    arena.settle()

    assert state is State.LEASED
    assert [(r.kind, r.starts) for r in producer.drain()] == [(Kind.SUCCEEDED, 2)]


def test_a_key_of_an_earlier_task_never_fits_the_next_one_in_its_slot(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=64, workers=1, result_ttl_ns=SECOND)
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    arena.settle()
    old = arena.find(accepted.id)
    assert old is not None
    lib.sa_core_revoke(arena.core, old.number, old.gen, b"", 0)
    arena.settle()
    arena.step(2 * SECOND)
    producer.submit(Task(), [b""] * 64)  # every slot is used again
    arena.settle()

    rc = lib.sa_core_revoke(arena.core, old.number, old.gen, b"", 0)

    assert arena.slot(old.number).state is State.READY
    assert rc == lib.SA_STALE


def test_a_ring_that_still_leases_cannot_be_attached_anew(arena_of: Make) -> None:
    arena = arena_of()
    running(arena)
    ring = arena.worker_rings[0]

    rc = lib.sa_core_attach_worker(arena.core, 0, ring.at, ring.size, 1)

    assert rc == lib.SA_STALE


def test_a_slot_that_cannot_be_is_given_up_and_counted(arena_of: Make) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    ids = [each.id for each in producer.submit(Task(), [b"x"] * 3)]
    arena.settle()
    victim = arena.find(ids[1])
    assert victim is not None
    slot = ffi.cast("struct sa_slot *", arena.segment.bytes + 139_264) + victim.number
    slot.body_at = 2**31

    arena.crash_supervisor()

    assert (arena.recovered.bad, arena.recovered.live) == (1, 2)
    assert [arena.find(each) is None for each in ids] == [False, True, False]


def test_nothing_answers_for_a_row_that_is_not_there(arena_of: Make) -> None:
    arena = arena_of()
    core = arena.core

    assert lib.sa_core_worker_died(core, 99, Fault.CRASH, NONE) == lib.SA_INVALID
    assert lib.sa_core_worker_live(core, 99, 1, 0, -1) == lib.SA_INVALID
    assert lib.sa_core_detach_producer(core, 99) == lib.SA_INVALID
    assert lib.sa_core_release(core, 5000, 0, b"", 0) == lib.SA_STALE
    assert lib.sa_core_revoke(core, 5000, 0, b"", 0) == lib.SA_STALE
    assert lib.sa_core_watch(core, 5000) == lib.SA_INVALID
