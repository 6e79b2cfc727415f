"""Full slots, a full arena, slow readers: back-pressure, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import ffi, lib

from .harness import MS, SECOND, Arena
from .memory import Kind, State, Told
from .peers import Producer, ScriptedWorker, Task

Make = Callable[..., Arena]


def fill(producer: Producer, task: Task) -> int:
    """Submit until the ring is full; return how many were accepted."""
    count = 0
    while producer.submit(task):
        count += 1
    assert producer.status == lib.SA_FULL
    return count


def run_all(arena: Arena, worker: ScriptedWorker, payload: bytes = b"") -> int:
    """Run whatever is offered until nothing is; return how many ran."""
    ran = 0
    while True:
        arena.settle()
        grant = worker.take()
        if grant is None:
            return ran
        assert worker.report(grant, Kind.SUCCEEDED, payload) == lib.SA_OK
        ran += 1


def test_full_slots_stop_the_producer_and_lose_nothing(arena_of: Make) -> None:
    arena = arena_of(slots=64, workers=1)
    _, producer = arena.connect()
    accepted = fill(producer, Task(body=b"x" * 100))
    arena.settle()
    accepted += fill(producer, Task(body=b"x" * 100))
    arena.settle()

    assert not producer.admitted
    assert len(arena.live_slots()) == 64
    worker, replies = arena.start_worker(0), []
    for _ in range(accepted):
        run_all(arena, worker)
        replies += producer.drain()
    assert sorted(reply.ticket for reply in replies) == list(range(1, accepted + 1))


def test_delivered_results_go_first_then_orphaned_ones_and_live_tasks_never(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=64, workers=1)
    worker = arena.start_worker(0)
    row, leaver = arena.connect()
    [orphan] = leaver.submit(Task(body=b"orphan"))
    leaver.close()
    assert arena.detach(row) == lib.SA_OK
    run_all(arena, worker)
    _, producer = arena.connect()
    [delivered] = producer.submit(Task(body=b"delivered"))
    run_all(arena, worker)
    assert len(producer.drain()) == 1
    lib.sa_core_worker_quiet(arena.core, 0, 0)

    live = [producer.submit(Task())[0].id for _ in range(62)]
    arena.settle()
    both = [arena.find(delivered.id), arena.find(orphan.id)]
    live += [producer.submit(Task())[0].id]
    arena.settle()
    one = [arena.find(delivered.id), arena.find(orphan.id)]
    live += [producer.submit(Task())[0].id, producer.submit(Task())[0].id]
    arena.settle()

    assert None not in both
    assert one[0] is None
    assert one[1] is not None
    assert arena.find(orphan.id) is None
    assert [arena.find(each) for each in live].count(None) == 1  # it waits in the ring
    assert not producer.admitted


def test_an_undelivered_result_of_a_living_producer_is_never_evicted(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=64, workers=1)
    worker = arena.start_worker(0)
    _, producer = arena.connect()
    total, ran = 0, 0
    for _ in range(20):  # the reply ring fills, and then the slots
        total += len(producer.submit(Task(), [b""] * 32))
        ran += run_all(arena, worker, b"r" * 1000)

    pending = [slot for slot in arena.live_slots() if slot.state is State.FINISHED]

    assert ran < total
    assert len(pending) == 64
    seen: set[int] = set()
    while len(seen) < total:
        replies = producer.drain()
        assert seen.isdisjoint(reply.ticket for reply in replies)
        seen |= {reply.ticket for reply in replies}
        run_all(arena, worker)
    assert seen == set(range(1, total + 1))


def test_a_tenth_of_the_slots_is_kept_for_children(arena_of: Make) -> None:
    arena = arena_of(slots=64, child_reserve=6, workers=1)
    _, producer = arena.connect()
    arena.start_worker(0)
    child = Producer(arena.worker_rings[0], arena.bell)
    producer.submit(Task(), [b""] * 100)
    arena.settle()

    before = len(arena.live_slots())
    children = child.submit(Task(body=b"child"), [b""] * 10)
    arena.settle()

    assert before == 58
    assert sum(arena.find(each.id) is not None for each in children) == 6
    child.close()


def test_one_producer_holds_half_the_slots_while_others_are_there(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=64, workers=1)
    (_, greedy), (row, other) = arena.connect(), arena.connect()
    greedy.submit(Task(), [b""] * 60)
    arena.settle()

    mine = len(arena.live_slots())
    theirs = other.submit(Task(), [b""] * 20)
    arena.settle()

    assert mine == 32
    assert all(arena.find(each.id) for each in theirs)
    other.close()
    assert arena.detach(row) == lib.SA_OK
    arena.settle()
    assert len(arena.live_slots()) == 64  # alone again, it may have them all


def test_one_producer_holds_half_the_arena_while_others_are_there(
    arena_of: Make,
) -> None:
    """Few tasks, much room: the cap on slots would never be reached."""
    arena = arena_of(arena_bytes=1 << 20, slots=1024, workers=1)
    worker = arena.start_worker(0)
    (_, greedy), (row, other) = arena.connect(), arena.connect()
    lib.sa_core_worker_quiet(arena.core, 0, 0)
    large, theirs = Task(body=b"x" * 8000), []  # 8,192 bytes of the arena
    for _ in range(100):
        greedy.submit(large)
        arena.settle()

    mine = len(arena.live_slots())
    for _ in range(20):
        theirs += other.submit(large)
        arena.settle()

    assert mine == 64 == (1 << 19) // 8192
    assert len(theirs) == 20
    assert all(arena.find(each.id) for each in theirs)
    other.close()
    assert arena.detach(row) == lib.SA_OK
    arena.settle()
    assert len(arena.live_slots()) > mine + 20  # alone again, it may have it all
    assert worker.take() is None


def test_what_is_not_read_counts_as_held_room_until_it_is(arena_of: Make) -> None:
    arena = arena_of(arena_bytes=1 << 20, slots=1024, workers=1)
    worker = arena.start_worker(0)
    (_, slow), _ = arena.connect(), arena.connect()
    for _ in range(60):  # its reply ring fills, then its share of the arena
        slow.submit(Task(), [b""] * 4)
        run_all(arena, worker, b"r" * 8000)
    slow.submit(Task(body=b"last"))
    arena.settle()

    held = not slow.admitted
    while not slow.admitted:
        assert slow.drain()
        run_all(arena, worker, b"r" * 8000)

    assert held


def test_a_dead_producer_above_the_cap_can_still_be_detached(arena_of: Make) -> None:
    arena = arena_of(slots=64, workers=1)
    (row, dead), _ = arena.connect(), arena.connect()
    worker = arena.start_worker(0)
    accepted = dead.submit(Task(), [b""] * 100)
    run_all(arena, worker, b"r" * 2000)  # its reply ring is full now
    dead.close()

    for _ in range(200):
        if arena.detach(row) == lib.SA_OK:
            break
        run_all(arena, worker)
    run_all(arena, worker)

    assert row not in arena.producer_rings
    stats = ffi.cast("struct sa_stats *", arena.segment.bytes + 4096)
    assert stats.succeeded == len(accepted)


@pytest.mark.parametrize("size", [1, 900, 8000])
def test_an_arena_full_of_bodies_still_lets_every_task_end(
    arena_of: Make, size: int
) -> None:
    """Without slabs kept for outcomes, no task could end and make room."""
    arena = arena_of(arena_bytes=1 << 18, slots=1024, workers=1, cells=8)
    _, producer = arena.connect()
    body, total, answers = b"b" * 6000, 0, 0
    for _ in range(30):
        total += len(producer.submit(Task(), [body] * 4))
        arena.settle()
    assert not producer.admitted
    worker = arena.start_worker(0)

    for _ in range(total + 50):
        run_all(arena, worker, b"r" * size)
        answers += len(producer.drain())

    assert answers == total


def test_last_errors_do_not_eat_the_room_of_outcomes(arena_of: Make) -> None:
    arena = arena_of(arena_bytes=1 << 18, slots=256, workers=1, cells=8)
    _, producer = arena.connect()
    producer.submit(Task(), [b""] * 100)
    worker = arena.start_worker(0)
    for _ in range(100):
        arena.settle()
        assert worker.report(worker.take(), Kind.RETRY, b"e" * 8000) == lib.SA_OK

    ran = run_all(arena, worker, b"r" * 8000) + len(producer.drain())
    for _ in range(200):
        ran += run_all(arena, worker, b"r" * 8000)
        producer.drain()

    assert all(slot.state is State.FINISHED for slot in arena.live_slots())


def test_an_outcome_committed_before_death_stands_even_while_there_is_no_room(
    arena_of: Make,
) -> None:
    arena = arena_of(arena_bytes=1 << 18, slots=256, workers=2, cells=8)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(Task(), [b"x"] * 60)
    run_all(arena, worker, b"r" * 7000)  # nobody reads: the arena is full
    reported = sum(slot.state is State.LEASED for slot in arena.live_slots())

    rc = arena.crash_worker(0)
    busy = lib.sa_core_worker_live(arena.core, 0, 1, 0, -1)
    replies = producer.drain()
    for _ in range(20):
        arena.settle()
        replies += producer.drain()

    assert reported > 0
    assert (rc, busy) == (lib.SA_FULL, lib.SA_STALE)
    assert {reply.starts for reply in replies} == {1}
    assert lib.sa_core_worker_live(arena.core, 0, 1, 0, -1) == lib.SA_OK
    assert all(slot.starts <= 1 for slot in arena.live_slots())
    assert not [slot for slot in arena.live_slots() if slot.crashes]


def test_results_leave_after_their_time_and_not_before(arena_of: Make) -> None:
    arena = arena_of(result_ttl_ns=10 * SECOND, workers=1)
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    run_all(arena, arena.start_worker(0))
    producer.drain()

    arena.step(10 * SECOND - 1)
    kept = arena.find(accepted.id)
    arena.step(1)

    assert kept is not None
    assert arena.find(accepted.id) is None


def test_a_dead_letter_that_is_not_written_yet_stays_and_stops_nobody(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=64, workers=1, result_ttl_ns=SECOND)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    [dead] = producer.submit(Task())
    arena.settle()
    worker.report(worker.take(), Kind.FAILED, b"error")
    others = producer.submit(Task(), [b""] * 30)
    run_all(arena, worker)
    producer.drain()

    arena.step(2 * SECOND)
    slot = arena.find(dead.id)
    left = [each for each in others if arena.find(each.id)]
    assert slot is not None
    rc = lib.sa_core_dead_lettered(arena.core, slot.number, slot.gen)
    arena.step()

    assert left == []
    assert rc == lib.SA_OK
    assert arena.find(dead.id) is None


def test_more_lost_starts_than_there_is_room_for_events_are_all_told(
    arena_of: Make,
) -> None:
    arena = arena_of(
        slots=8192,
        arena_bytes=1 << 23,
        workers=10,
        cells=1024,
        credits_max=1024,
        concurrency=512,
        ring_bytes=1 << 20,
    )
    _, producer = arena.connect()
    producer.submit(Task(), [b""] * 3000)
    for row in range(10):
        arena.start_worker(row)
    for _ in range(60):
        arena.step(after_ns=MS)
        producer.submit(Task(), [b""] * 300)
    running = 0
    for worker in arena.workers.values():
        while worker.take() is not None:
            running += 1
    assert running > 4096
    arena.events()

    arena.crash_supervisor()
    told: set[int] = set()
    for _ in range(10):
        told |= {event.slot for event in arena.events() if event.type == Told.HELD}
        arena.step()

    held = {slot.number for slot in arena.live_slots() if slot.state is State.HELD}
    assert len(held) == running
    assert told == held


def test_queue_names_are_taken_again_from_tasks_that_have_gone(arena_of: Make) -> None:
    arena = arena_of(slots=1024, workers=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)

    kinds = set()
    for number in range(600):
        producer.submit(Task(queue=f"q{number}"))
        run_all(arena, worker)
        kinds.update(reply.kind for reply in producer.drain())

    assert kinds == {Kind.SUCCEEDED}
    assert arena.check() == 0


def test_the_257th_queue_with_waiting_tasks_is_refused_and_blocks_nobody(
    arena_of: Make,
) -> None:
    arena = arena_of(slots=1024, workers=1)
    _, producer = arena.connect()

    for number in range(257):
        producer.submit(Task(queue=f"q{number}"))
    producer.submit(Task(queue="q0"))
    arena.settle()

    refused = producer.drain()
    assert [reply.kind for reply in refused] == [Kind.CANCELLED]
    assert b"256 queues" in refused[0].payload
    assert producer.admitted
    assert len(arena.live_slots()) == 257
