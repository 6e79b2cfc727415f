"""Tasks that are accepted and in no slot yet: found, and cancelled at admission."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import ffi, lib

from .harness import Arena
from .memory import Kind, State, Told
from .peers import Accepted, Producer, Reply, Task, task_id

Make = Callable[..., Arena]

REASON = b"\x81\xa6reason\xa4gone"
#: ``struct sa_revokes``, in whole pages at the end of the segment.
_BYTES = 64 + lib.SA_REVOKES_MAX * (16 + 4 + lib.SA_REASON_MAX)
REVOKES_BYTES = -(-_BYTES // 4096) * 4096
MARK = b"\xc1stem-spool"  # see ring/spool.py


def found(arena: Arena, identity: bytes) -> bytes | None:
    """Return the record that waits in a submit ring."""
    record, size = ffi.new("uint8_t[]", lib.SA_RECORD_MAX), ffi.new("uint32_t *")
    rc = lib.sa_core_find_submitted(arena.core, identity, record, size)
    return bytes(ffi.buffer(record, size[0])) if rc == lib.SA_OK else None


def revoke(arena: Arena, identity: bytes, reason: bytes = REASON) -> int:
    return int(lib.sa_core_revoke_submitted(arena.core, identity, reason, len(reason)))


def overfull(arena: Arena, extra: int = 40) -> tuple[Producer, list[Accepted]]:
    """Submit *extra* tasks more than there are slots; return those."""
    _, producer = arena.connect()
    slots = arena.shape.slots
    accepted: list[Accepted] = []
    for n in range(slots + extra):
        if n == slots:
            arena.settle()
        accepted += producer.submit(Task(body=b"b" * (n % 200)))
    arena.settle()
    waiting = [task for task in accepted if arena.find(task.id) is None]
    assert waiting == accepted[slots:]
    return producer, waiting


def run_all(arena: Arena, producer: Producer) -> tuple[set[bytes], dict[int, Reply]]:
    """Run every task; return the ids of those that started, and replies by ticket."""
    worker = arena.start_worker(0)
    started: set[bytes] = set()
    replies: dict[int, Reply] = {}
    for _ in range(50):
        arena.step(1_000_000)
        while (grant := worker.take()) is not None:
            started.add(task_id(grant))
            worker.report(grant, Kind.SUCCEEDED, b"")
            arena.settle()
            replies.update({reply.ticket: reply for reply in producer.drain()})
    return started, replies


def ended_as(arena: Arena, identity: bytes) -> int:
    """Return how a task ended; 0: it has not."""
    slot = arena.find(identity)
    return slot.kind if slot is not None and slot.state is State.FINISHED else 0


def test_a_task_without_a_slot_is_found_whole_and_nothing_moves(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, waiting = overfull(arena)
    before = [arena.slot(number) for number in range(arena.shape.slots)]

    records = [found(arena, task.id) or b"" for task in waiting]

    assert [len(record) - len(Task().head()) for record in records] == [
        *range(128, 168)
    ]
    assert found(arena, bytes(range(16))) is None
    assert before == [arena.slot(number) for number in range(arena.shape.slots)]
    arena.settle()
    assert found(arena, waiting[0].id) is not None


def test_a_child_in_the_submit_ring_of_its_worker_is_found(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    overfull(arena)
    worker = Producer(arena.worker_rings[0], arena.bell)
    child = worker.submit(Task(body=b"child"))[0].id

    assert (found(arena, child) or b"").endswith(b"child")


@pytest.mark.parametrize("is_crash", [False, True])
def test_a_revoked_one_is_cancelled_at_admission_and_never_offered(
    arena_of: Make, is_crash: bool
) -> None:
    arena = arena_of(workers=1)
    producer, waiting = overfull(arena)
    assert revoke(arena, waiting[1].id) == revoke(arena, waiting[1].id) == lib.SA_OK
    if is_crash:
        arena.crash_supervisor()

    started, replies = run_all(arena, producer)

    told = replies[waiting[1].ticket]
    assert (told.kind, told.payload, told.starts) == (Kind.CANCELLED, REASON, 0)
    assert len(replies) == arena.shape.slots + len(waiting)
    assert len(started) == len(replies) - 1
    assert waiting[1].id not in started
    assert not lib.sa_core_is_revoked(arena.core, waiting[1].id)


def test_what_was_admitted_and_not_yet_cancelled_is_cancelled_at_recovery(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    admitted = producer.submit(Task())[0].id
    revoke(arena, admitted)
    at = arena.segment.size - REVOKES_BYTES
    noted = arena.segment.read(at, REVOKES_BYTES)
    arena.segment.set_word(at, 0)  # as if nobody had revoked: it is only admitted
    arena.settle()
    ffi.memmove(arena.segment.bytes + at, noted, REVOKES_BYTES)

    arena.crash_supervisor()

    assert ended_as(arena, admitted) == Kind.CANCELLED
    assert not lib.sa_core_is_revoked(arena.core, admitted)


def test_revokes_are_bounded(arena_of: Make) -> None:
    arena = arena_of(workers=1, ring_bytes=1 << 19)
    most = lib.SA_REVOKES_MAX
    _, waiting = overfull(arena, extra=most + 1)

    answers = {revoke(arena, task.id) for task in waiting[:most]}

    assert answers == {lib.SA_OK}
    assert revoke(arena, waiting[most].id) == lib.SA_FULL
    assert revoke(arena, bytes(range(16))) == lib.SA_EMPTY
    assert (
        revoke(arena, waiting[0].id, bytes(lib.SA_REASON_MAX + 1)) == lib.SA_TOO_LARGE
    )


def test_a_producer_counts_what_was_not_admitted(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    producer, waiting = overfull(arena)

    assert lib.sa_producer_unadmitted(producer.handle) == len(waiting)


@pytest.mark.parametrize("size", [70_000, 1])
def test_the_end_of_a_spooled_task_names_its_file(arena_of: Make, size: int) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    claim = MARK + size.to_bytes(8, "little") + bytes(4)
    claim += b"0" * 32 + b".01abcdef." + str(size).encode() + b".args"
    (accepted,) = producer.submit(Task(body=claim, flags=lib.SA_TASK_SPOOLED))
    arena.settle()
    grant = worker.take()
    assert grant is not None
    worker.report(grant, Kind.SUCCEEDED, b"")
    arena.settle()

    (freed,) = [it for it in arena.events() if it.type == Told.FREED_SPOOL]

    assert freed.id == accepted.id
    assert freed.a == size + 1
    assert freed.b.to_bytes(8, "little") == b"01abcdef"
