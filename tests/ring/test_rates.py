"""Rate limits: what a limited task waits for, and what takes a token."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import lib

from .claims import GROUP, RATE, group, limited_by, rate
from .crew import crew_of, submit
from .harness import MS, SECOND, Arena
from .memory import Fault, Kind, State, Told
from .peers import task_id

ArenaOf = Callable[..., Arena]


def test_a_limit_holds_over_all_workers(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 12, claims=rate(1, 5))

    crew.run(4 * SECOND)

    assert crew.times == [0] * 5 + [1] * 5 + [2] * 2


def test_a_limited_task_waits_for_its_limit_and_is_told_so(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    one, two = submit(producer, 2, claims=rate(1, 1))
    [three] = submit(producer, claims=group(1, 1))
    [four] = submit(producer, claims=group(1, 1))

    crew.run(arena.now_ns + SECOND // 2)

    assert [it for _, it in crew.began] == [one.id, three.id]
    assert (limited_by(arena, two.id), limited_by(arena, four.id)) == (RATE, GROUP)
    slot = arena.find(two.id)
    assert slot is not None
    assert (slot.state, slot.attempt, slot.starts) == (State.READY, 0, 0)


def test_others_of_the_queue_are_not_delayed(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 50, claims=rate(1, 1), priority=9)
    others = submit(producer, 20)

    crew.run(arena.now_ns + 10 * MS)

    assert {it.id for it in others} <= {started for _, started in crew.began}
    assert len(crew.began) == 21


def test_more_limited_tasks_than_one_step_moves_delay_nobody_either(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of(slots=4096, ring_bytes=1 << 20)
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 3000, claims=rate(1, 1))
    [other] = submit(producer)

    crew.run(arena.now_ns + 10 * MS)

    assert other.id in {started for _, started in crew.began}


def test_a_line_keeps_priorities_and_else_its_order(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    first = submit(producer, 1, claims=rate(1, 1))
    crew.run(arena.now_ns + 10 * MS)
    low = submit(producer, 3, claims=rate(1, 1))
    high = submit(producer, 3, claims=rate(1, 1), priority=5)

    crew.run(10 * SECOND)

    expected = [it.id for it in (*first, *high, *low)]
    assert [started for _, started in crew.began] == expected


def test_a_start_counts_from_when_it_began_not_from_its_offer(
    arena_of: ArenaOf,
) -> None:
    """Offered at 1 s, begun at 1.9 s: the next may not begin before 2.9 s."""
    arena = arena_of()
    _, producer = arena.connect()
    worker = arena.start_worker()
    submit(producer, 2, claims=rate(1, 1))
    arena.settle()

    arena.step(900 * MS)
    first = worker.take()
    arena.step(60 * MS)  # a look at the cells; from then on it is known
    arena.step(300 * MS)
    assert worker.take() is None

    assert worker.report(first, Kind.SUCCEEDED) == lib.SA_OK
    arena.settle()
    arena.step(600 * MS)
    assert worker.take() is None
    arena.step(101 * MS)
    arena.settle()
    assert worker.take() is not None


def test_a_long_run_gives_its_token_back_when_its_span_is_over(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    one, two = arena.start_worker(0), arena.start_worker(1)
    submit(producer, 2, claims=rate(1, 1))
    arena.settle()
    running = one.take() or two.take()
    assert running is not None

    for _ in range(30):
        arena.step(50 * MS)

    assert (one.take() or two.take()) is not None


def test_an_offer_that_is_taken_back_gives_its_token_back(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    arena.start_worker()
    offered, waiting = submit(producer, 2, claims=rate(1, 1))
    arena.settle()
    assert limited_by(arena, waiting.id) == RATE

    slot = arena.find(offered.id)
    assert slot is not None
    assert lib.sa_core_revoke(arena.core, slot.number, slot.gen, b"", 0) == lib.SA_OK
    arena.settle()

    grant = arena.workers[0].take()
    assert grant is not None
    assert task_id(grant) == waiting.id


def quiet(arena: Arena) -> None:
    lib.sa_core_worker_quiet(arena.core, 0, 0)
    assert arena.check() == 0, "a task that waits in its queue holds no token"
    arena.start_worker(1)


def dies(arena: Arena) -> None:
    arena.crash_worker(0, Fault.COLLATERAL)
    arena.start_worker(1)


@pytest.mark.parametrize("lose", [quiet, dies])
def test_so_does_one_that_its_worker_never_began(
    arena_of: ArenaOf, lose: Callable[[Arena], None]
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    arena.start_worker(0)
    [only] = submit(producer, 1, claims=rate(1, 1))
    arena.settle()

    lose(arena)
    arena.settle()

    grant = arena.workers[1].take()
    assert grant is not None
    assert task_id(grant) == only.id


@pytest.mark.parametrize("kind", [Kind.UNKNOWN, Kind.EXPIRED])
def test_what_is_no_start_takes_no_token(arena_of: ArenaOf, kind: Kind) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    worker = arena.start_worker()
    submit(producer, 2, claims=rate(1, 1))
    arena.settle()

    assert worker.report(worker.take(), kind) == lib.SA_OK
    arena.settle()

    assert worker.take() is not None


def test_a_start_that_was_lost_with_its_worker_counts(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    arena.start_worker(0)
    _lost, waiting = submit(producer, 2, claims=rate(1, 1))
    arena.settle()
    assert arena.workers[0].take() is not None

    arena.crash_worker(0)
    arena.start_worker(1)
    arena.settle()

    assert arena.workers[1].take() is None
    assert limited_by(arena, waiting.id) == RATE


def test_the_window_outlives_the_supervisor(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 9, claims=rate(1, 3))
    crew.run(arena.now_ns + 500 * MS)
    assert len(crew.began) == 3

    arena.crash_supervisor()
    crew_of(arena)
    crew.run(arena.now_ns + 400 * MS)
    assert len(crew.began) == 3

    crew.run(4 * SECOND)
    assert crew.times == [0] * 3 + [1] * 3 + [2] * 3


def test_a_start_in_flight_when_the_supervisor_dies_counts_once(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    arena.start_worker(0)
    submit(producer, 3, claims=rate(1, 2))
    arena.settle()
    assert arena.workers[0].take() is not None
    arena.step(60 * MS)  # it is known, and stands in the arena

    arena.crash_supervisor()
    worker = arena.start_worker(0)
    held = [event for event in arena.events() if event.type == Told.HELD]
    for event in held:
        lib.sa_core_release(arena.core, event.slot, event.gen, b"", 0)
    arena.settle()

    assert worker.take() is not None, "the second token was free"
    assert worker.take() is None


def test_times_of_a_clock_that_began_anew_shut_no_limit(arena_of: ArenaOf) -> None:
    arena = arena_of()
    arena.now_ns += 10**15
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 2, claims=rate(1, 1))
    crew.run(arena.now_ns + 10 * MS)

    arena.now_ns = SECOND
    arena.crash_supervisor()
    crew_of(arena)
    crew.run(arena.now_ns + 1100 * MS)

    assert len(crew.began) == 2


def test_a_paused_queue_keeps_no_token_from_others(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 5, claims=rate(1, 1), queue="a")
    submit(producer, 3, claims=rate(1, 1), queue="b")
    crew.run(arena.now_ns + 500 * MS)
    assert lib.sa_core_pause(arena.core, b"a", 1, 1) == lib.SA_OK

    crew.run(arena.now_ns + 4 * SECOND)
    assert len(crew.began) == 4

    lib.sa_core_pause(arena.core, b"a", 1, 0)
    crew.run(arena.now_ns + 5 * SECOND)
    assert len(crew.began) == 8


def test_a_waiting_task_expires_and_is_revoked_like_any_other(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 1, claims=rate(1, 1))
    [short] = submit(
        producer, 1, claims=rate(1, 1), expires_ns=arena.wall_ns + 100 * MS
    )
    [revoked] = submit(producer, 1, claims=rate(1, 1))
    crew.run(arena.now_ns + 50 * MS)
    slot = arena.find(revoked.id)
    assert slot is not None

    assert lib.sa_core_revoke(arena.core, slot.number, slot.gen, b"", 0) == lib.SA_OK
    crew.run(arena.now_ns + 100 * MS)

    ended = [arena.find(it.id) for it in (short, revoked)]
    assert [it.state for it in ended if it] == [State.FINISHED] * 2
    assert len(crew.began) == 1
