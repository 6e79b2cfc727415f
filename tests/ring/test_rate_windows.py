"""Rate limits as properties: no window has too many, and nobody starves."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from stem_actor._core import lib

from .claims import group, rate, unique
from .crew import crew_of, most_in, submit
from .harness import MS, SECOND, Arena, Shape
from .memory import Kind, State, Told
from .peers import Task, task_id

ArenaOf = Callable[..., Arena]


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
                    lib.sa_core_release(arena.core, event.slot, event.gen, b"", 0)
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
