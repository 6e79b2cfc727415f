"""A cancellation for whose reason there is no room says by a mark what it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import ffi, lib

from stem_actor.ring.news import NewsType, split_news, unpack_news

from .harness import Arena
from .memory import Kind
from .peers import Accepted, Producer, Task

Make = Callable[..., Arena]

PURGED, REVOKED = b"\x81\xa6reason\xa6purged", b"\x81\xa6reason\xa7revoked"
#: No extent is ever left that takes it.
LONG = b"r" * 30_000


def filled(arena_of: Make) -> tuple[Arena, Producer, list[Accepted]]:
    """An arena without room for ``LONG``, with a hundred tasks or more."""
    arena = arena_of(slots=2048, arena_bytes=1 << 18, ring_bytes=1 << 18)
    _, producer = arena.connect()
    accepted: list[Accepted] = []
    for _ in range(20):
        accepted += producer.submit(Task(), [b"x" * 400] * 50)
        arena.settle()
    return arena, producer, [it for it in accepted if arena.find(it.id)]


def purge(arena: Arena, reason: bytes) -> int:
    count = ffi.new("uint32_t *")
    rc = lib.sa_core_purge(arena.core, b"default", 7, reason, len(reason), count)
    assert rc == lib.SA_OK
    return int(count[0])


def news_of(arena: Arena) -> list[tuple[int, bytes]]:
    size, dropped = ffi.new("uint32_t *"), ffi.new("uint64_t *")
    data = lib.sa_core_news(arena.core, size, dropped)
    split = split_news(bytes(ffi.buffer(data, size[0])))
    return [(kind, unpack_news(record).payload) for kind, _, record in split]


def test_a_purge_without_room_says_that_it_was_one_and_does_not_pass_for_expiry(
    arena_of: Make,
) -> None:
    arena, producer, tasks = filled(arena_of)
    lib.sa_core_listen(arena.core, 0xFFFFFFFF)

    assert purge(arena, LONG) == len(tasks)
    told = news_of(arena)
    arena.settle()
    replies = {reply.ticket: reply for reply in producer.drain()}

    of_ours = [replies[it.ticket] for it in tasks]
    assert {(it.kind, it.payload) for it in of_ours} <= {
        (Kind.CANCELLED, PURGED),
        (Kind.CANCELLED, LONG),
    }
    assert (Kind.CANCELLED, PURGED) in {(it.kind, it.payload) for it in of_ours}
    assert (NewsType.CANCELLED, PURGED) in told
    assert NewsType.EXPIRED not in {kind for kind, _ in told}


def test_the_mark_outlives_the_supervisor(arena_of: Make) -> None:
    arena, producer, _ = filled(arena_of)
    purge(arena, LONG)

    arena.crash_supervisor()
    arena.settle()

    found = {reply.payload for reply in producer.drain()}
    assert PURGED in found
    assert b"" not in found


@pytest.mark.parametrize(
    ("marks", "words"),
    [(0, b""), (31, b""), (32, REVOKED), (64, PURGED), (32 | 64 | 8, PURGED)],
)
def test_only_its_own_marks_speak(marks: int, words: bytes) -> None:
    size = ffi.new("uint32_t *")

    at = lib.sa_mark_words(marks, size)

    assert bytes(ffi.buffer(at, size[0])) == words == ffi.string(at)


def test_a_task_that_expires_still_says_nothing(arena_of: Make) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    producer.submit(Task(expires_ns=arena.wall_ns + 1))

    arena.step(2)
    arena.settle()

    [told] = producer.drain()
    assert (told.kind, told.payload) == (Kind.CANCELLED, b"")
