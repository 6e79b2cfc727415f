"""The table of limiters: room for many, and none for one too many."""

from __future__ import annotations

from collections.abc import Callable

from stem_actor._core import lib

from .claims import GROUP, UNIQUE, group, limited_by, rate
from .crew import Crew, crew_of, submit
from .harness import MS, Arena
from .peers import Producer

ArenaOf = Callable[..., Arena]
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
