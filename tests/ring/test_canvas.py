"""Tasks that belong together: what the core keeps of them, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from stem_actor._core import ffi, lib

from .harness import SECOND, Arena, Event
from .memory import Kind, SlotView, State
from .peers import Producer, ScriptedWorker, Task

Make = Callable[..., Arena]

PART, WHOLE = lib.SA_TIE_PART, lib.SA_TIE_WHOLE
DRIVEN, TIED = lib.SA_EVENT_DRIVEN, lib.SA_EVENT_TIED


def of_type(events: list[Event], kind: int) -> list[bytes]:
    return [event.id for event in events if event.type == kind]


def submit(arena: Arena, task: Task) -> int:
    """Let S itself take in *task*; return the status."""
    record = task.record()
    return int(lib.sa_core_submit(arena.core, record, len(record)))


def settle(arena: Arena, slot: SlotView, kind: Kind, payload: bytes = b"") -> int:
    return int(
        lib.sa_core_settle_driven(
            arena.core, slot.number, slot.gen, kind, payload, len(payload), 0
        )
    )


def note(arena: Arena, slot: SlotView) -> int:
    return int(lib.sa_core_end_noted(arena.core, slot.number, slot.gen))


def found(arena: Arena, task_id: bytes) -> SlotView:
    slot = arena.find(task_id)
    assert slot is not None
    return slot


def whole(arena: Arena) -> tuple[Producer, bytes]:
    """Return a producer and the id of a whole that it has submitted."""
    _, producer = arena.connect()
    [accepted] = producer.submit(Task(body=b"plan", ties=WHOLE))
    arena.settle()
    return producer, accepted.id


def run(arena: Arena, worker: ScriptedWorker, payload: bytes = b"") -> None:
    arena.settle()
    worker.report(worker.take(), Kind.SUCCEEDED, payload)
    arena.settle()


def test_a_whole_is_offered_to_nobody_and_told_once(arena_of: Make) -> None:
    arena = arena_of()
    worker = arena.start_worker(0)
    _, id_ = whole(arena)

    told = of_type(arena.events(), DRIVEN)
    arena.step(3600 * SECOND)

    assert told == [id_]
    assert of_type(arena.events(), DRIVEN) == []
    assert found(arena, id_).state is State.DRIVEN
    assert worker.take() is None
    assert arena.check() == 0


@pytest.mark.parametrize("kind", [Kind.SUCCEEDED, Kind.FAILED, Kind.CANCELLED])
def test_what_becomes_of_a_whole_goes_to_its_producer(
    arena_of: Make, kind: Kind
) -> None:
    arena = arena_of()
    producer, id_ = whole(arena)

    rc = settle(arena, found(arena, id_), kind, b"sum")
    arena.settle()

    [reply] = producer.drain()
    assert rc == lib.SA_OK
    assert (reply.kind, reply.payload, reply.starts) == (kind, b"sum", 1)
    assert found(arena, id_).state is State.FINISHED
    assert arena.check() == 0


def test_a_whole_that_was_settled_is_settled_no_more(arena_of: Make) -> None:
    arena = arena_of()
    _, id_ = whole(arena)
    slot = found(arena, id_)
    settle(arena, slot, Kind.SUCCEEDED)

    assert settle(arena, slot, Kind.FAILED) == lib.SA_STALE
    assert settle(arena, replace(slot, gen=slot.gen + 1), Kind.FAILED) == lib.SA_STALE
    assert found(arena, id_).kind == Kind.SUCCEEDED


def test_a_whole_outlives_the_supervisor_and_is_told_again(arena_of: Make) -> None:
    arena = arena_of()
    _, id_ = whole(arena)
    arena.events()

    arena.crash_supervisor()

    assert of_type(arena.events(), DRIVEN) == [id_]
    assert found(arena, id_).state is State.DRIVEN
    assert arena.check() == 0


def test_the_time_of_a_whole_is_not_the_cores_to_tell(arena_of: Make) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    soon = arena.wall_ns + SECOND
    [accepted] = producer.submit(
        Task(ties=WHOLE, expires_ns=soon, deadline_ns=soon, not_before_ns=soon)
    )
    arena.step()

    arena.step(10 * SECOND)

    assert found(arena, accepted.id).state is State.DRIVEN
    assert arena.check() == 0


def test_neither_a_purge_nor_a_revoke_of_the_core_ends_a_whole(arena_of: Make) -> None:
    arena = arena_of()
    _, id_ = whole(arena)
    slot, count = found(arena, id_), ffi.new("uint32_t *")
    queue = b"default"

    rc = lib.sa_core_revoke(arena.core, slot.number, slot.gen, b"", 0)
    lib.sa_core_purge(arena.core, queue, len(queue), b"", 0, count)

    assert rc == lib.SA_STALE
    assert count[0] == 0
    assert found(arena, id_).state is State.DRIVEN


def test_what_the_supervisor_submits_runs_like_any_other_task(arena_of: Make) -> None:
    arena = arena_of()
    worker = arena.start_worker(0)
    part = Task(body=b"part", id=b"p" * 16, ties=PART)

    first, second = submit(arena, part), submit(arena, part)
    run(arena, worker, b"value")

    assert (first, second) == (lib.SA_OK, lib.SA_OK), "the second is known already"
    assert of_type(arena.events(), TIED) == [part.id]
    assert (found(arena, part.id).kind, arena.check()) == (Kind.SUCCEEDED, 0)


def test_a_record_that_is_none_is_refused(arena_of: Make) -> None:
    arena = arena_of()

    assert lib.sa_core_submit(arena.core, b"x" * 200, 200) == lib.SA_CORRUPT
    assert submit(arena, Task(ties=3)) == lib.SA_CORRUPT
    assert arena.check() == 0


def test_the_end_of_a_part_is_kept_until_it_is_noted_and_stops_nobody(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=64, result_ttl_ns=SECOND)
    worker = arena.start_worker(0)
    _, producer = arena.connect()
    part = Task(id=b"p" * 16, ties=PART)
    submit(arena, part)
    run(arena, worker, b"value")
    others = producer.submit(Task(), [b""] * 20)
    for _ in others:
        run(arena, worker)
    producer.drain()

    arena.step(5 * SECOND)
    kept, gone = arena.find(part.id), [arena.find(it.id) for it in others]
    rc = note(arena, found(arena, part.id))
    arena.step()

    assert kept is not None
    assert gone == [None] * 20
    assert rc == lib.SA_OK
    assert arena.find(part.id) is None
    assert arena.check() == 0


def test_an_end_that_was_not_noted_is_told_again_after_a_death(arena_of: Make) -> None:
    arena = arena_of()
    worker = arena.start_worker(0)
    for letter in b"pq":
        submit(arena, Task(id=bytes([letter]) * 16, ties=PART))
        run(arena, worker, b"value")
    arena.events()
    note(arena, found(arena, b"q" * 16))

    arena.crash_supervisor()

    assert of_type(arena.events(), TIED) == [b"p" * 16]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_the_end_of_a_part_that_never_ran_is_told_too(arena_of: Make, how: str) -> None:
    arena = arena_of()
    part = Task(id=b"p" * 16, ties=PART, expires_ns=arena.wall_ns + SECOND)
    submit(arena, part)
    slot = found(arena, part.id)

    if how == "revoked":
        lib.sa_core_revoke(arena.core, slot.number, slot.gen, b"", 0)
    else:
        arena.step(2 * SECOND)

    assert of_type(arena.events(), TIED) == [part.id]


def test_more_ends_than_there_is_room_for_events_are_all_told(arena_of: Make) -> None:
    arena = arena_of(slots=8192, arena_bytes=1 << 23)
    ids = [n.to_bytes(16, "little") for n in range(1, 6001)]
    for id_ in ids:
        submit(arena, Task(id=id_, ties=PART))
    for id_ in ids:
        slot = found(arena, id_)
        lib.sa_core_revoke(arena.core, slot.number, slot.gen, b"", 0)

    told: list[bytes] = []
    for _ in range(10):
        told += of_type(arena.events(), TIED)
        arena.step()

    assert sorted(set(told)) == sorted(ids)


def test_a_full_arena_takes_no_end_that_was_not_noted(arena_of: Make) -> None:
    arena = arena_of(slots=64)
    worker = arena.start_worker(0)
    parts = [Task(id=bytes([n]) * 16, ties=PART) for n in range(1, 9)]
    for part in parts:
        submit(arena, part)
        run(arena, worker)
    _, producer = arena.connect()

    for _ in range(4):
        producer.submit(Task(), [b""] * 30)
        for _ in range(30):
            run(arena, worker)
        producer.drain()

    assert arena.check() == 0
    assert [arena.find(part.id) is not None for part in parts] == [True] * 8
