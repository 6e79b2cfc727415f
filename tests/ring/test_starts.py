"""What waits, when something was last started, and how much one step may do."""

from __future__ import annotations

from collections.abc import Callable

from stem_actor._core import ffi, lib

from .harness import MS, SECOND, Arena
from .memory import Kind, State
from .peers import Task

Make = Callable[..., Arena]

REPORT_TAIL = 384


def last_start(arena: Arena) -> int:
    stats = ffi.cast("struct sa_stats *", arena.segment.bytes + 4096)
    return int(stats.last_start_ns)


def waiting(arena: Arena) -> int:
    return sum(slot.state == State.READY for slot in arena.live_slots())


def backlog(arena: Arena) -> tuple[int, int]:
    since = ffi.new("int64_t *")
    return int(lib.sa_core_backlog(arena.core, since)), int(since[0])


def test_tasks_in_a_mailbox_are_backlog_until_they_are_taken(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(), [b""] * 3)
    worker = arena.start_worker(0)
    arena.settle()
    began = arena.now_ns

    assert backlog(arena) == (3, began)
    grant = worker.take()
    assert backlog(arena) == (2, began)
    worker.report(grant, Kind.SUCCEEDED)
    assert worker.take() is not None
    assert worker.take() is not None
    arena.settle()
    assert backlog(arena) == (0, 0)


def test_an_offer_is_no_start(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task())
    arena.start_worker(0)

    for _ in range(5):
        arena.step(SECOND)

    assert last_start(arena) == 0


def test_a_start_is_seen_within_a_sweep_and_its_end_at_once(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(), [b"", b""])
    worker = arena.start_worker(0)
    arena.settle()
    arena.step(SECOND)
    grant = worker.take()

    arena.step(60 * MS)
    seen = arena.now_ns
    assert last_start(arena) == seen
    arena.step(SECOND)
    assert last_start(arena) == seen
    worker.report(grant, Kind.SUCCEEDED)
    arena.step(MS)
    assert last_start(arena) == arena.now_ns


def test_a_purge_goes_on_where_there_is_no_room_to_say_why(arena_of: Make) -> None:
    arena = arena_of(slots=2048, arena_bytes=1 << 18, ring_bytes=1 << 18)
    _, producer = arena.connect()
    for _ in range(30):
        producer.submit(Task(), [b"x" * 400] * 50)
        arena.settle()
    expected = waiting(arena)
    reason, count = b"r" * 60_000, ffi.new("uint32_t *")

    rc = lib.sa_core_purge(arena.core, b"default", 7, reason, len(reason), count)

    assert (rc, count[0]) == (lib.SA_OK, expected)


def test_a_step_cancels_no_more_late_tasks_than_its_budget(arena_of: Make) -> None:
    arena = arena_of(workers=1, slots=512)
    _, producer = arena.connect()
    expires = arena.wall_ns + SECOND
    for _ in range(4):
        producer.submit(Task(expires_ns=expires), [b""] * 100)
        arena.settle()
    arena.start_worker(0)

    arena.step(2 * SECOND, budget=10)

    # Its timers end ten, and what they leave is found late by the offers: ten more.
    assert waiting(arena) == 400 - 20
    arena.settle()
    assert waiting(arena) == 0


def test_replies_before_a_corrupt_one_are_handed_over(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    row, producer = arena.connect()
    sent = producer.submit(Task(), [b"", b""])
    worker = arena.start_worker(0)
    for _ in sent:
        arena.settle()
        worker.report(worker.take(), Kind.SUCCEEDED, b"\xc0")
    arena.settle()
    out, data = ffi.new("struct sa_reply[]", 8), ffi.new("uint8_t[]", 1024)
    n = ffi.new("uint32_t *")
    spoil_second_reply(arena, row)

    first = lib.sa_producer_drain(producer.handle, out, 8, data, len(data), n)
    count, ticket = n[0], out[0].ticket
    then = lib.sa_producer_drain(producer.handle, out, 8, data, len(data), n)

    assert (first, count, ticket) == (lib.SA_OK, 1, sent[0].ticket)
    assert (then, n[0]) == (lib.SA_CORRUPT, 0)


def spoil_second_reply(arena: Arena, row: int) -> None:
    """A length within the second reply is wrong, and its checksum right."""
    ring = arena.producer_rings[row]
    report_at = int.from_bytes(ring.read(40, 8), "little")
    length = int.from_bytes(ring.read(report_at, 4), "little")
    at = report_at + (32 + length + 31) // 32 * 32
    size = int.from_bytes(ring.read(at, 4), "little")
    ring.write(at + 32 + 20, b"\xff\xff\0\0")  # sa_reply.len
    head = bytearray(ring.read(at, 32))
    whole = bytes(head[8:]) + ring.read(at + 32, size)
    crc = lib.sa_crc32c(size, whole, len(whole))
    ring.write(at + 4, int(crc).to_bytes(4, "little"))
