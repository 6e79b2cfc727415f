"""News of the core: each fact once, in the order of the supervisor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import ffi, lib

from stem_actor.ring.news import News, NewsType, split_news, unpack_news

from .harness import EPOCH, MS, SECOND, Arena
from .memory import Fault, Kind, Told
from .peers import Task

Make = Callable[..., Arena]

STARTED = 13  # enum sa_kind
ALL = 0xFFFF
#: An arena larger than what may wait of news, in tasks of a hundred bytes.
MANY = 8192
SOFT, HARD = 0, 1
T = NewsType


def listen(arena: Arena, wanted: int = ALL) -> None:
    lib.sa_core_listen(arena.core, wanted)


def raw_news(arena: Arena) -> bytes:
    size, dropped = ffi.new("uint32_t *"), ffi.new("uint64_t *")
    at = lib.sa_core_news(arena.core, size, dropped)
    assert dropped[0] == 0
    return bytes(ffi.buffer(at, size[0]))


def news(arena: Arena) -> list[News]:
    """Take the news there are."""
    return [unpack_news(record) for _, _, record in split_news(raw_news(arena))]


def told(arena: Arena) -> list[int]:
    return [it.type for it in news(arena)]


def heard(arena: Arena, worker: int = 0) -> int:
    """Return the word by which worker *worker* knows that somebody listens."""
    status, control_at = 128 * 10, 128 * 11
    assert arena.worker_rings[worker].size > status
    raw = ffi.buffer(arena.worker_rings[worker].at, 4096)
    return int.from_bytes(raw[control_at + 12 : control_at + 16], "little")


def test_without_a_listener_nothing_is_told_and_no_worker_is_asked(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    worker.report(grant, Kind.SUCCEEDED)
    arena.settle()

    assert grant.heard == 0
    assert raw_news(arena) == b""


def test_a_worker_is_asked_for_starts_only_while_somebody_wants_them(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    words = [heard(arena)]
    for wanted in (1 << T.FAILED, 1 << T.STARTED, 0, ALL):
        listen(arena, wanted)
        words.append(heard(arena))
    arena.start_worker(0)
    words.append(heard(arena))

    assert words == [0, 0, 1, 0, 1, 1]


def test_a_life_is_told_in_order_with_all_that_is_known(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    listen(arena)
    _, producer = arena.connect()
    [accepted] = producer.submit(Task(queue="email", name="send"))
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    worker.report(grant, STARTED)
    worker.report(grant, Kind.PROGRESS, b"\x92\x32\xc0")
    worker.report(grant, Kind.EXTEND, delay_ns=SECOND)
    worker.report(grant, Kind.SUCCEEDED, b"a result is not told")
    arena.settle()

    seen = news(arena)

    assert [it.type for it in seen] == [
        T.RECEIVED, T.STARTED, T.PROGRESS, T.HEARTBEAT, T.SUCCEEDED, T.RUN_ENDED,
    ]  # fmt: skip
    assert {(it.task_id, it.queue, it.name) for it in seen} == {
        (accepted.id, "email", "send")
    }
    assert [it.starts for it in seen] == [0, 1, 1, 1, 1, 1]
    assert [it.payload for it in seen if it.payload] == [b"\x92\x32\xc0"]
    assert (seen[3].value, seen[5].kind) == (SECOND, Kind.SUCCEEDED)
    assert all(abs(it.at_ns - EPOCH) < 1000 * SECOND for it in seen[2:])


def test_a_type_that_nobody_wants_is_not_told(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    listen(arena, 1 << T.SUCCEEDED)
    _, producer = arena.connect()
    producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()
    worker.report(worker.take(), Kind.SUCCEEDED)
    arena.settle()

    assert told(arena) == [T.SUCCEEDED]


def test_a_timeout_is_told_behind_its_start_however_late_that_says_so(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    listen(arena)
    _, producer = arena.connect()
    producer.submit(Task(soft_ns=10 * MS, hard_ns=20 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    arena.step()
    arena.step(11 * MS)  # the worker was stopped between its claim and its word
    worker.report(grant, STARTED)
    for _ in range(3):
        arena.step(11 * MS)

    seen = news(arena)

    assert [it.type for it in seen] == [T.RECEIVED, T.STARTED, T.TIMEOUT]
    assert (seen[2].kind, seen[2].value) == (SOFT, 10 * MS)


@pytest.mark.parametrize("returns", [False, True])
def test_a_hard_timeout_is_told_once_it_has_ended_the_start_and_not_before(
    arena_of: Make, returns: bool
) -> None:
    arena = arena_of(workers=1)
    listen(arena)
    _, producer = arena.connect()
    producer.submit(Task(hard_ns=20 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    worker.report(grant, STARTED)
    arena.step()
    arena.step(21 * MS)
    assert [it.type for it in arena.events()] == [Told.HARD]
    before = told(arena)
    if returns:  # in the time between the kill and its death
        worker.report(grant, Kind.SUCCEEDED)

    arena.crash_worker(0, Fault.HARD, grant.slot)

    seen = news(arena)
    after = [T.SUCCEEDED, T.RUN_ENDED] if returns else [T.TIMEOUT]
    assert (before, [it.type for it in seen]) == ([T.RECEIVED, T.STARTED], after)
    assert returns or (seen[0].kind, seen[0].value) == (HARD, 20 * MS)


def test_no_timeout_is_told_of_a_start_whose_outcome_was_there(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    listen(arena)
    _, producer = arena.connect()
    producer.submit(Task(soft_ns=10 * MS, hard_ns=20 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    worker.report(grant, STARTED)
    worker.report(grant, Kind.SUCCEEDED)
    for _ in range(3):
        arena.step(30 * MS)

    assert told(arena) == [T.RECEIVED, T.STARTED, T.SUCCEEDED, T.RUN_ENDED]


def test_an_event_of_a_limit_names_the_start_that_ran_into_it(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(soft_ns=10 * MS))
    worker = arena.start_worker(0)
    arena.settle()
    worker.report(worker.take(), Kind.RETRY)
    arena.settle()
    grant = worker.take()
    arena.events()
    arena.step()
    arena.step(11 * MS)

    [event] = arena.events()

    assert (event.a & 0xFFFFFFFF, event.a >> 32) == (grant.cell, grant.starts - 1) != 0
    assert grant.starts == 2


def test_a_word_of_a_start_that_has_ended_is_not_told(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    listen(arena)
    _, producer = arena.connect()
    producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()
    grant = worker.take()
    worker.report(grant, Kind.RETRY)
    arena.settle()
    worker.report(grant, STARTED)
    arena.settle()

    assert told(arena) == [T.RECEIVED, T.RETRIED, T.RUN_ENDED]


def test_a_retry_is_told_with_the_attempt_that_failed(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    listen(arena, 1 << T.RETRIED)
    _, producer = arena.connect()
    producer.submit(Task())
    worker = arena.start_worker(0)
    for _ in range(2):
        arena.settle()
        worker.report(worker.take(), Kind.RETRY, b"why", delay_ns=MS)
        arena.settle()
        arena.step(2 * MS)

    seen = news(arena)

    assert [(it.attempt, it.starts, it.value) for it in seen] == [
        (0, 1, MS),
        (1, 2, MS),
    ]
    assert {it.payload for it in seen} == {b"why"}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("release", [T.REPLAYED, T.RUN_ENDED]),
        ("retry", [T.RETRIED, T.RUN_ENDED]),
        ("fail", [T.FAILED, T.RUN_ENDED]),
        ("cancel", [T.CANCELLED, T.RUN_ENDED]),
    ],
)
def test_a_start_that_dies_with_its_worker_is_told_before_the_verdict_on_it(
    arena_of: Make, verdict: str, expected: list[int]
) -> None:
    arena = arena_of(workers=1)
    listen(arena)
    _, producer = arena.connect()
    [accepted] = producer.submit(Task())
    arena.start_worker(0)
    arena.settle()
    arena.workers[0].take()  # and is killed before it can say so
    arena.crash_worker(0, Fault.CRASH)
    slot = arena.find(accepted.id)
    assert slot is not None
    lost = told(arena)
    which = (arena.core, slot.number, slot.gen)
    {
        "release": lambda: lib.sa_core_release(*which, b"verdict", 7),
        "retry": lambda: lib.sa_core_retry(*which, MS, b"why", 3),
        "fail": lambda: lib.sa_core_settle_held(*which, Kind.FAILED, b"why", 3, 1),
        "cancel": lambda: lib.sa_core_settle_held(*which, Kind.CANCELLED, b"why", 3, 0),
    }[verdict]()

    assert lost == [T.RECEIVED, T.STARTED]
    assert told(arena) == expected


def test_what_never_ran_is_told_without_a_run(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    listen(arena)
    _, producer = arena.connect()
    [revoked] = producer.submit(Task(not_before_ns=EPOCH + 100 * SECOND))
    producer.submit(Task(expires_ns=EPOCH + 2 * SECOND))
    arena.settle()
    slot = arena.find(revoked.id)
    assert slot is not None
    lib.sa_core_revoke(arena.core, slot.number, slot.gen, b"why", 3)
    arena.step(3 * SECOND)

    assert told(arena) == [T.RECEIVED, T.RECEIVED, T.CANCELLED, T.EXPIRED]


def test_who_takes_no_news_holds_the_core_up_and_loses_none(arena_of: Make) -> None:
    arena = arena_of(workers=1, slots=MANY, arena_bytes=8 << 20, ring_bytes=1 << 21)
    listen(arena)
    _, producer = arena.connect()
    accepted = producer.submit(Task(name="n" * 150), [b""] * (MANY // 2))
    arena.settle()
    first = news(arena)
    seen = list(first)
    while len(seen) < len(accepted):
        arena.settle()
        more = news(arena)
        assert more, "the core does not go on"
        seen += more

    assert len(first) < len(accepted)
    assert [it.task_id for it in seen] == [it.id for it in accepted]
    assert arena.check() == 0
