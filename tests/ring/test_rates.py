"""Rate limits: exact windows over all workers, in the way of nobody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stem_actor._core import lib

from .claims import GROUP, RATE, UNIQUE, group, limited_by, rate, unique
from .harness import MS, SECOND, Arena, Shape
from .memory import Fault, Kind, State, Told
from .peers import Accepted, Producer, Task, task_id

ArenaOf = Callable[..., Arena]


@dataclass
class Crew:
    """Workers that do at once what they are offered, and note when they began it."""

    arena: Arena
    began: list[tuple[int, bytes]] = field(default_factory=list)

    def work(self) -> int:
        """Take and finish whatever is offered; return how many tasks that were."""
        done = 0
        for worker in self.arena.workers.values():
            while (grant := worker.take()) is not None:
                self.began.append((self.arena.now_ns, task_id(grant)))
                assert worker.report(grant, Kind.SUCCEEDED) == lib.SA_OK
                done += 1
        return done

    def run(self, until_ns: int, every_ns: int = 10 * MS) -> None:
        """Let time pass up to *until_ns*, in small steps."""
        while self.arena.now_ns < until_ns:
            while self.work() or self.arena.step():
                pass
            self.arena.step(every_ns)

    @property
    def times(self) -> list[int]:
        """When the starts were, in seconds from the beginning."""
        return [at // SECOND - 1 for at, _ in self.began]


def crew_of(arena: Arena, workers: int = 2) -> Crew:
    """Start some workers."""
    for worker in range(workers):
        arena.start_worker(worker)
    return Crew(arena)


def most_in(times: list[int], span_ns: int) -> int:
    """Return the most starts in any window of *span_ns*."""
    return max(
        (sum(at <= other < at + span_ns for other in times) for at in times), default=0
    )


def submit(producer: Producer, count: int = 1, **fields: object) -> list[Accepted]:
    """Submit *count* tasks that are alike."""
    return producer.submit(Task(**fields), [b""] * count)  # type: ignore[arg-type]


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
        lib.sa_core_release(arena.core, event.slot, event.gen)
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


# --- the table ------------------------------------------------------------------

HALF = lib.SA_LIMITERS_MAX // 2


def fill_groups(arena: Arena, producer: Producer) -> Crew:
    """Have as many groups in use as there may be."""
    crew = crew_of(arena)
    for number in range(HALF):
        submit(producer, 1, claims=group(number, 1))
    crew.run(arena.now_ns + 10 * MS)
    assert len(crew.began) == HALF
    return crew


def test_without_room_for_its_limiter_an_open_group_is_not_limited(
    arena_of: ArenaOf,
) -> None:
    arena = arena_of(slots=2048, ring_bytes=1 << 20)
    _, producer = arena.connect()
    crew = fill_groups(arena, producer)

    submit(producer, 3, claims=group(HALF, 1))
    crew.run(arena.now_ns + 10 * MS)

    assert len(crew.began) == HALF + 3


def test_a_closed_group_waits_until_there_is_room(arena_of: ArenaOf) -> None:
    arena = arena_of(slots=2048, ring_bytes=1 << 20)
    _, producer = arena.connect()
    crew = fill_groups(arena, producer)

    one, two = submit(producer, 2, claims=group(HALF, 1, is_closed=True))
    crew.run(arena.now_ns + 100 * MS)
    assert len(crew.began) == HALF
    assert {limited_by(arena, it.id) for it in (one, two)} == {UNIQUE}

    crew.run(arena.now_ns + 1500 * MS)
    assert [it for _, it in crew.began[HALF:]] == [one.id]
    assert limited_by(arena, two.id) == GROUP


def test_groups_leave_room_for_the_limits_of_tasks(arena_of: ArenaOf) -> None:
    arena = arena_of(slots=2048, ring_bytes=1 << 20)
    _, producer = arena.connect()
    crew = fill_groups(arena, producer)

    submit(producer, 2, claims=rate(1, 1))
    crew.run(arena.now_ns + 10 * MS)

    assert len(crew.began) == HALF + 1


def test_idle_limiters_make_room_for_others(arena_of: ArenaOf) -> None:
    arena = arena_of(slots=2048, ring_bytes=1 << 20)
    _, producer = arena.connect()
    crew = fill_groups(arena, producer)
    crew.run(arena.now_ns + 1100 * MS)

    for number in range(HALF, 2 * HALF):
        submit(producer, 2, claims=group(number, 1, is_closed=True))
    crew.run(arena.now_ns + 500 * MS)

    assert len(crew.began) == 2 * HALF


def test_a_limiter_without_room_in_the_arena_waits_for_it(arena_of: ArenaOf) -> None:
    """An eighth of the arena is for starts: here two of the largest limits."""
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    for number in range(3):
        submit(producer, 1, claims=rate(number, 4096))

    crew.run(arena.now_ns + 200 * MS)
    assert len(crew.began) == 2
    crew.run(arena.now_ns + 1000 * MS)

    assert len(crew.began) == 3


def test_rows_that_somebody_wrote_over_are_not_believed(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 2, claims=rate(1, 1))
    crew.run(arena.now_ns + 10 * MS)
    at = ffi_tail(arena)
    arena.segment.write(at, b"\xff" * 64 * lib.SA_LIMITERS_MAX)

    arena.crash_supervisor()
    crew_of(arena)
    crew.run(arena.now_ns + 10 * MS)

    assert len(crew.began) == 2, "a limit that was lost begins anew"


def ffi_tail(arena: Arena) -> int:
    """Return where the limiters are: right behind the payload arena."""
    return arena.segment.word(16) + arena.shape.arena_bytes


# --- two limits -----------------------------------------------------------------


def test_both_limits_hold(arena_of: ArenaOf) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 9, claims=group(1, 3) + rate(1, 2, 2 * SECOND))

    crew.run(12 * SECOND)

    times = [at for at, _ in crew.began]
    assert len(times) == 9
    assert most_in(times, 2 * SECOND) == 2


def test_two_limits_that_are_always_used_up_starve_nobody(arena_of: ArenaOf) -> None:
    """One task needs both; others take each of them as soon as there is a token."""
    arena = arena_of(slots=512)
    _, producer = arena.connect()
    crew = crew_of(arena)
    submit(producer, 40, claims=group(1, 1))
    submit(producer, 10, claims=rate(1, 1, 4 * SECOND))
    crew.run(arena.now_ns + 10 * MS)
    [both] = submit(producer, 1, claims=group(1, 1) + rate(1, 1, 4 * SECOND))
    submit(producer, 40, claims=group(1, 1))
    submit(producer, 10, claims=rate(1, 1, 4 * SECOND))

    crew.run(arena.now_ns + 60 * SECOND, every_ns=50 * MS)

    order = [started for _, started in crew.began]
    assert both.id in order
    assert order.index(both.id) <= 60


@given(
    tasks=st.lists(
        st.tuples(
            st.sampled_from(["r1", "r2", "g1", "both", "none"]),
            st.integers(0, 2),
            st.integers(0, 900),
        ),
        max_size=60,
    ),
    naps=st.lists(st.integers(1, 700), min_size=1, max_size=30),
    deaths=st.sets(st.integers(0, 40), max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_no_window_has_too_many_and_every_task_has_its_turn(
    tasks: list[tuple[str, int, int]], naps: list[int], deaths: set[int]
) -> None:
    """Whenever workers begin what they were offered, and whenever S dies."""
    limits = {"r1": (3, SECOND), "r2": (1, 500 * MS), "g1": (2, SECOND)}
    claims = {
        "r1": rate(1, *limits["r1"]),
        "r2": rate(2, *limits["r2"]),
        "g1": group(1, *limits["g1"]),
        "both": group(1, *limits["g1"]) + rate(1, *limits["r1"]),
        "none": unique(7),
    }
    arena = Arena(Shape(slots=256))
    _, producer = arena.connect()
    arena.start_worker(0)
    arena.start_worker(1)
    begun: list[tuple[int, str]] = []
    kinds: dict[bytes, str] = {}
    todo, step = sorted(tasks, key=lambda it: it[2]), 0
    while todo or any(it.state is not State.FINISHED for it in arena.live_slots()):
        step += 1
        assert step < 4000, "somebody starves"
        while todo and todo[0][2] * MS <= arena.now_ns - SECOND:
            name, priority, _ = todo.pop(0)
            task = Task(claims=claims[name], priority=priority)
            kinds[producer.submit(task)[0].id] = name
        if step in deaths:
            arena.crash_supervisor()
            arena.start_worker(0)
            arena.start_worker(1)
            for event in arena.events():
                if event.type == Told.HELD:
                    lib.sa_core_release(arena.core, event.slot, event.gen)
        arena.step()
        _one_turn(arena, step, begun, kinds)
        arena.step(naps[step % len(naps)] * MS)
        producer.drain()
    for name, members in (("r1", "r1 both"), ("r2", "r2"), ("g1", "g1 both")):
        tokens, span_ns = limits[name]
        times = [at for at, kind in begun if kind in members.split()]
        assert most_in(times, span_ns) <= tokens
    assert arena.check() == 0
    arena.close()


def _one_turn(
    arena: Arena, step: int, begun: list[tuple[int, str]], kinds: dict[bytes, str]
) -> None:
    """Each worker begins one task; every third of them goes on until it is lost."""
    for number, worker in arena.workers.items():
        grant = worker.take() if (step + number) % 3 else None
        if grant is None:
            continue
        begun.append((arena.now_ns, kinds[task_id(grant)]))
        assert worker.report(grant, Kind.SUCCEEDED) == lib.SA_OK
