"""Unique keys: one live task for each, freed by every ending and by recovery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stem_actor._core import ffi, lib

from .claims import duplicates_of, holder_of, rate, unique
from .harness import NONE, SECOND, Arena
from .memory import Fault, Kind, State, Told
from .peers import Accepted, Producer, Reply, ScriptedWorker, Task

ArenaOf = Callable[..., Arena]
JOB = Task(claims=unique(1))


def replies_of(producer: Producer, kind: Kind) -> list[Reply]:
    """Return the replies of one kind that are there."""
    return [reply for reply in producer.drain() if reply.kind is kind]


def submit(arena: Arena, producer: Producer, task: Task = JOB) -> Accepted:
    """Submit one task and let the core admit it."""
    [accepted] = producer.submit(task)
    arena.settle()
    return accepted


def is_free(arena: Arena, producer: Producer) -> bool:
    """Whether nobody holds the key: a further task with it gets a slot."""
    accepted = submit(arena, producer)
    return holder_of(arena, accepted.id) == accepted.id


def test_a_second_task_with_the_key_is_answered_with_the_first_ones_id(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)

    second = submit(arena, producer)

    [reply] = producer.drain()
    assert (reply.kind, reply.ticket) == (Kind.MERGED, second.ticket)
    assert reply.payload == first.id
    assert [slot.id for slot in arena.live_slots()] == [first.id]


def test_duplicates_are_counted_and_stand_for_the_first(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)

    doubles = [submit(arena, producer) for _ in range(5)]

    total, latest = duplicates_of(arena, first.id)
    assert total == 5
    assert latest == [double.id for double in reversed(doubles)]
    assert {holder_of(arena, double.id) for double in doubles} == {first.id}


def test_duplicates_in_one_batch_are_merged_too(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()

    batch = producer.submit(JOB, [b"x"] * 20)
    arena.settle()

    merged = replies_of(producer, Kind.MERGED)
    assert [reply.ticket for reply in merged] == [one.ticket for one in batch[1:]]
    assert {reply.payload for reply in merged} == {batch[0].id}


def test_two_keys_are_two_tasks(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()

    submit(arena, producer, Task(claims=unique(1)))
    submit(arena, producer, Task(claims=unique(2)))

    assert len(arena.live_slots()) == 2


# --- the key is free again ------------------------------------------------------


def finish(arena: Arena, worker: ScriptedWorker, kind: Kind) -> None:
    """Take the task and report."""
    grant = worker.take()
    assert worker.report(grant, kind, b"out") == lib.SA_OK
    arena.settle()


@pytest.mark.parametrize("kind", [Kind.SUCCEEDED, Kind.FAILED, Kind.CANCELLED])
def test_an_ending_frees_the_key(arena_of: ArenaOf, kind: Kind) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    worker = arena.start_worker()
    submit(arena, producer)

    finish(arena, worker, kind)

    assert is_free(arena, producer)


def test_a_retry_and_a_start_hold_it(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    worker = arena.start_worker()
    submit(arena, producer)
    grant = worker.take()
    assert not is_free(arena, producer)

    worker.report(grant, Kind.RETRY, b"error", SECOND)
    arena.settle()

    assert not is_free(arena, producer)


def revoke(arena: Arena, producer: Producer, first: Accepted) -> None:
    slot = arena.find(first.id)
    assert slot is not None
    rc = lib.sa_core_revoke(arena.core, slot.number, slot.gen, b"", 0)
    assert rc == lib.SA_OK


def purge(arena: Arena, producer: Producer, first: Accepted) -> None:
    count = ffi.new("uint32_t *")
    lib.sa_core_purge(arena.core, b"default", 7, b"purged", 6, count)
    assert count[0] == 1


def crash_for_good(arena: Arena, producer: Producer, first: Accepted) -> None:
    worker = arena.start_worker()
    arena.settle()
    assert worker.take() is not None
    arena.crash_worker(0, Fault.CRASH)
    [held] = [event for event in arena.events() if event.type == Told.HELD]
    rc = lib.sa_core_settle_held(
        arena.core, held.slot, held.gen, Kind.FAILED, b"dead", 4, 1
    )
    assert rc == lib.SA_OK


def give_up(arena: Arena, producer: Producer, first: Accepted) -> None:
    slot = arena.find(first.id)
    assert slot is not None
    assert lib.sa_core_give_up(arena.core, slot.number, slot.gen, b"", 0) == lib.SA_OK


@pytest.mark.parametrize("end", [revoke, purge, crash_for_good, give_up])
def test_so_does_every_ending_without_an_outcome(
    arena_of: ArenaOf, end: Callable[[Arena, Producer, Accepted], None]
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)

    end(arena, producer, first)

    assert is_free(arena, producer)


def test_expiry_frees_it(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    expires_ns = arena.wall_ns + SECOND
    submit(arena, producer, Task(claims=unique(1), expires_ns=expires_ns))

    arena.step(SECOND)

    assert is_free(arena, producer)


def test_it_is_held_for_its_time_and_no_longer(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    created_ns = arena.wall_ns
    job = Task(claims=unique(1, 2 * SECOND), created_ns=created_ns)
    first = submit(arena, producer, job)

    arena.step(2 * SECOND - 1)
    assert holder_of(arena, submit(arena, producer, job).id) == first.id
    arena.step(1)
    later = Task(claims=unique(1, 2 * SECOND), created_ns=arena.wall_ns)
    second = submit(arena, producer, later)

    assert holder_of(arena, second.id) == second.id
    third = submit(arena, producer, later)
    assert holder_of(arena, third.id) == second.id


def test_the_end_of_a_lapsed_holder_leaves_the_key_to_the_next(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(
        arena, producer, Task(claims=unique(1, SECOND), created_ns=arena.wall_ns)
    )
    arena.step(SECOND)
    second = submit(
        arena, producer, Task(claims=unique(1, SECOND), created_ns=arena.wall_ns)
    )

    revoke(arena, producer, first)

    third = submit(arena, producer)
    assert holder_of(arena, third.id) == second.id


# --- a supervisor dies ----------------------------------------------------------


def test_a_new_supervisor_knows_the_keys(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)
    double = submit(arena, producer)

    arena.crash_supervisor()

    assert not is_free(arena, producer)
    assert holder_of(arena, double.id) == first.id
    total, latest = duplicates_of(arena, first.id)
    assert (total, latest[-1]) == (2, double.id)


def test_of_two_that_claimed_one_key_the_later_holds_it_after_a_crash(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    submit(arena, producer, Task(claims=unique(1, SECOND), created_ns=arena.wall_ns))
    arena.step(SECOND)
    second = submit(arena, producer, Task(claims=unique(1), created_ns=arena.wall_ns))

    arena.crash_supervisor()

    double = submit(arena, producer)
    assert holder_of(arena, double.id) == second.id


def test_a_duplicate_that_was_noted_is_answered_and_never_run(
    arena_of: ArenaOf,
) -> None:
    """The supervisor dies after it has noted it: the record still looks unread."""
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)
    ring = arena.producer_rings[0]
    unread = ring.word(256)
    double = submit(arena, producer)
    ring.set_word(256, unread)
    revoke(arena, producer, first)

    arena.crash_supervisor()
    arena.settle()

    assert arena.find(double.id) is None
    merged = replies_of(producer, Kind.MERGED)
    assert {(it.ticket, it.payload) for it in merged} == {(double.ticket, first.id)}


def test_a_log_that_somebody_wrote_over_is_not_believed(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)
    submit(arena, producer)
    names = ("struct sa_duplicates", "struct sa_revokes")
    log, behind = (-(-ffi.sizeof(name) // 4096) * 4096 for name in names)
    at = arena.segment.size - behind - log
    count = arena.segment.word(at)
    assert count == 1
    arena.segment.write(at + 64, b"\xa5" * (log - 64))

    arena.crash_supervisor()

    assert not is_free(arena, producer)
    assert duplicates_of(arena, first.id)[0] == 1


# --- edges ----------------------------------------------------------------------


def test_more_duplicates_than_the_log_has_rows_are_still_counted(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)

    for _ in range(22):
        producer.submit(JOB, [b""] * 50)
        arena.settle()
        producer.drain()

    total, latest = duplicates_of(arena, first.id, cap=2000)
    assert (total, len(latest)) == (1100, lib.SA_DUPLICATES_MAX - 1)


def test_a_reply_ring_without_room_holds_the_duplicate_back(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)

    sent = 0
    while producer.admitted:
        sent += len(producer.submit(JOB, [b""] * 16))
        arena.settle()
    answered = len(producer.drain())
    arena.settle()
    answered += len(producer.drain())

    assert answered == sent == duplicates_of(arena, first.id)[0]


def test_children_are_merged_without_an_answer(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first = submit(arena, producer)
    arena.start_worker(1)

    child = Producer(arena.worker_rings[1], arena.bell)
    [double] = child.submit(JOB)
    arena.settle()
    child.close()

    assert holder_of(arena, double.id) == first.id
    assert len(arena.live_slots()) == 1


def test_the_spooled_arguments_of_a_duplicate_are_given_up(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    claim = b"\xc1" + bytes(10) + (77).to_bytes(8, "little") + bytes(37) + b"TOKENTOK"
    job = Task(claims=unique(1), flags=8, body=claim)
    submit(arena, producer, job)

    double = submit(arena, producer, job)

    [freed] = [event for event in arena.events() if event.type == Told.FREED_SPOOL]
    assert (freed.id, freed.slot, freed.a) == (double.id, NONE, 78)
    assert freed.b.to_bytes(8, "little") == b"TOKENTOK"


BAD = {
    "cut off": unique(1)[:-1],
    "twice": unique(1) * 2,
    "out of order": unique(1) + rate(1, 1),
    "no such kind": b"\4" + unique(1)[1:],
    "a key with tokens": unique(1)[:2] + b"\1" + unique(1)[3:],
    "no tokens": rate(1, 0),
    "too many tokens": rate(1, 4097),
    "no span": rate(1, 1, 0),
    "a span of years": rate(1, 1, 2**60),
    "a key held for ever": unique(1, 2**63),
}


@pytest.mark.parametrize("claims", BAD.values(), ids=BAD)
def test_claims_that_make_no_sense_quarantine_their_ring(
    arena_of: ArenaOf, claims: bytes
) -> None:
    arena = arena_of()
    _, producer = arena.connect()

    producer.submit(Task(claims=claims))
    arena.settle()

    assert [event.type for event in arena.events()] == [Told.CORRUPT]
    assert arena.live_slots() == []


def test_a_key_does_not_outlive_the_slot(arena_of: ArenaOf) -> None:
    """The next task in the slot has no duplicates, though the last one had."""
    arena = arena_of(slots=64, result_ttl_ns=SECOND)
    _, producer = arena.connect()
    first = submit(arena, producer)
    submit(arena, producer)
    slot: Any = arena.find(first.id)
    revoke(arena, producer, first)
    arena.settle()
    producer.drain()
    arena.settle()
    arena.step(2 * SECOND)
    assert arena.slot(slot.number).state is State.FREE

    others = [submit(arena, producer, Task()) for _ in range(64)]

    assert all(duplicates_of(arena, other.id)[0] == 0 for other in others)
