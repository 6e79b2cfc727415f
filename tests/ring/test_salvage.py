"""Recovery over memory that a wild write has spoilt: it loses tasks, never its way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from stem_actor._core import ffi, lib

from .harness import Arena
from .memory import SLOTS_AT, Kind, Memory, State
from .peers import Task, task_id

Make = Callable[..., Arena]

SLOT = 128
QUEUES_AT = 2 * 4096
#: Offset and size of the fields of ``struct sa_slot``.
FIELDS = {
    "state": (7, 1),
    "owner": (5, 2),
    "starts": (4, 1),
    "gen": (0, 4),
    "id": (8, 16),
    "body_at": (24, 4),
    "body_len": (28, 4),
    "body_crc": (32, 4),
    "out_at": (36, 4),
    "out_len": (40, 4),
    "out_kind": (44, 4),
    "ticket": (48, 8),
    "src_end": (56, 8),
    "src_ring": (64, 4),
    "queue": (68, 4),
    "finished_ns": (72, 8),
    "numbers": (80, 24),
    "other numbers": (104, 24),
}


@pytest.fixture
def spoilt_of() -> Iterator[Callable[..., Arena]]:
    """An arena with a slot of each state: ready, delayed, leased, held, finished."""
    made: list[Arena] = []

    def make() -> Arena:
        arena = Arena()
        made.append(arena)
        _, producer = arena.connect()
        worker = arena.start_worker(0)
        producer.submit(Task(body=b"x" * 300), [b"x" * 300] * 20)
        producer.submit(Task(not_before_ns=2**62))
        for kind in (Kind.SUCCEEDED, Kind.FAILED, Kind.CANCELLED, Kind.RETRY):
            arena.settle()
            grant = worker.take()
            assert worker.report(grant, kind, b"\x80" * 100) == lib.SA_OK
        arena.settle()
        assert worker.take() is not None
        arena.crash_worker(0)
        other = arena.start_worker(1)
        arena.settle()
        assert other.take() is not None
        producer.close()
        return arena

    yield make
    for arena in made:
        arena.close()


def live_on(arena: Arena) -> None:
    """Recover, check every invariant, then let a worker run what there is."""
    arena.crash_supervisor()
    assert arena.check() == 0
    arena.events()
    worker = arena.start_worker(0)
    for _ in range(60):
        arena.step(1_000_000)
        grant = ffi.new("struct sa_grant *")
        rc = lib.sa_worker_next(worker.handle, grant, 0)
        if rc == lib.SA_OK:
            assert worker.report(grant, Kind.SUCCEEDED, b"\xc0") == lib.SA_OK
        elif rc == lib.SA_CORRUPT:  # a record whose checksum is wrong ends a worker
            arena.crash_worker(0)
            worker = arena.start_worker(0)
    assert arena.check() == 0


@pytest.mark.parametrize("field", FIELDS)
def test_any_value_of_any_field_of_any_slot_is_recovered_from(
    field: str, spoilt_of: Callable[[], Arena]
) -> None:
    rng = random.Random(field)
    offset, size = FIELDS[field]
    values = [b"\xff" * size, bytes(size), *(rng.randbytes(size) for _ in range(4))]

    for value in values:
        arena = spoilt_of()
        for number in range(arena.shape.slots):
            if arena.slot(number).state != State.FREE:
                arena.segment.write(SLOTS_AT + number * SLOT + offset, value)
        live_on(arena)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_all_over_the_slot_table_are_recovered_from(
    seed: int, spoilt_of: Callable[[], Arena]
) -> None:
    rng = random.Random(seed)
    arena = spoilt_of()
    for _ in range(200):
        at = SLOTS_AT + rng.randrange(arena.shape.slots * SLOT)
        arena.segment.write(at, rng.randbytes(rng.choice((1, 1, 4))))

    live_on(arena)


def test_a_slot_that_has_ended_with_a_wild_queue_number_is_given_up(
    arena_of: Make,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    [sent] = producer.submit(Task())
    worker = arena.start_worker(0)
    arena.settle()
    worker.report(worker.take(), Kind.SUCCEEDED, b"\xc0")
    arena.settle()
    slot = arena.find(sent.id)
    assert slot is not None

    at = SLOTS_AT + slot.number * SLOT
    arena.segment.write(at + FIELDS["queue"][0], b"\xff\xff\xff\x7f")
    arena.crash_supervisor()

    assert (arena.recovered.bad, arena.find(sent.id)) == (1, None)


def test_a_task_whose_queue_number_or_row_is_spoilt_finds_its_queue_again(
    arena_of: Make,
) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    [first] = producer.submit(Task(queue="mail"))
    arena.settle()
    slot = arena.find(first.id)
    assert slot is not None

    arena.segment.write(SLOTS_AT + slot.number * SLOT + 68, b"\xff\xff\xff\x7f")
    arena.segment.write(QUEUES_AT + 8, b"\xff\xff\xff\x7f")  # length of the name
    arena.crash_supervisor()
    worker = arena.start_worker(0)
    arena.settle()

    assert task_id(worker.take()) == first.id
    assert arena.recovered.bad == 0


def test_two_slots_with_one_id_leave_one_task(arena_of: Make) -> None:
    arena = arena_of()
    _, producer = arena.connect()
    first, second = (producer.submit(Task())[0] for _ in range(2))
    arena.settle()
    slot = arena.find(second.id)
    assert slot is not None

    arena.segment.write(SLOTS_AT + slot.number * SLOT + 8, first.id)
    arena.crash_supervisor()

    assert arena.recovered.bad == 1
    assert arena.find(first.id) is not None


BAD_NAMES = {
    "a lone byte": b"\xff",
    "cut off": b"a\xc3",
    "an overlong slash": b"\xc0\xaf",
    "an overlong euro": b"\xf0\x82\x82\xac",
    "a surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "a stray continuation": b"a\x80",
    "a control character": b"a\n",
}
GOOD_NAMES = ("é", "€", "\U0001f40d", "\ud7ff", "\ue000", "\U0010ffff", "a.b-c")
BAD_OPTIONS = {
    "no map": b"\x93\x01\x02\x03",
    "the byte that is never used": b"\xc1\xc1",
    "a map that is cut off": b"\x82\xa1a\x01",
    "bytes behind the map": b"\x80\x80",
    "an extension type": b"\x81\xa1a\xd4\x01\x00",
    "too deep": b"\x81\xa1a" + b"\x91" * 20 + b"\xc0",
}


def submit_raw(arena: Arena, name: bytes, options: bytes) -> int:
    """Submit a record with these bytes in it; return how many rings are corrupt."""
    _, producer = arena.connect()
    head = bytearray(Task(name="x").head())
    head[6:8] = len(name).to_bytes(2, "little")
    head[8:10] = len(options).to_bytes(2, "little")
    whole = bytes(head[:-1]) + name + options
    # The body would complete a character that the name has cut off.
    ends, ids = ffi.new("uint32_t[]", [1]), ffi.new("uint8_t[]", 16)
    ticket, status = ffi.new("uint64_t *"), ffi.new("int *")
    sent = lib.sa_producer_submit(
        producer.handle, whole, len(whole), b"\x80", ends, 1, ids, ticket, status
    )
    assert sent == 1
    arena.settle()
    producer.close()
    return corrupt(arena.segment)


def corrupt(segment: Memory) -> int:
    return int(ffi.cast("struct sa_stats *", segment.bytes + 4096).corrupt)


@pytest.mark.parametrize("which", BAD_NAMES)
def test_a_name_that_is_no_text_is_not_admitted(which: str, arena_of: Make) -> None:
    assert submit_raw(arena_of(), BAD_NAMES[which], b"") == 1


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_any_text_is_a_name(name: str, arena_of: Make) -> None:
    assert submit_raw(arena_of(), name.encode(), b"") == 0


@pytest.mark.parametrize("which", BAD_OPTIONS)
def test_options_that_are_not_one_map_are_not_admitted(
    which: str, arena_of: Make
) -> None:
    assert submit_raw(arena_of(), b"name", BAD_OPTIONS[which]) == 1


def test_options_in_one_map_are_admitted(arena_of: Make) -> None:
    assert submit_raw(arena_of(), b"name", b"\x81\xa5retry\x91\xa1a") == 0
