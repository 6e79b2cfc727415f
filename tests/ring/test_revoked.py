"""A task that is revoked while it runs is never run again, whatever ends its start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from stem_actor._core import ffi, lib

from .harness import MS, Arena
from .memory import SLOTS_AT, Fault, Kind, State, Told
from .peers import Producer, ScriptedWorker, Task

Make = Callable[..., Arena]

REASON = msgpack.packb({"reason": "no more of it"})
REPORT = msgpack.packb({"what": "was left undone"})
LIMITS = bytes(8)


def revoked(
    arena: Arena, task: Task | None = None
) -> tuple[Producer, ScriptedWorker, Any]:
    """Have worker 0 take a task, and forbid it to go on; return its grant."""
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(task or Task())
    arena.settle()
    grant = worker.take()
    assert grant is not None
    arena.events()
    assert forbid(arena, grant) == lib.SA_OK
    return producer, worker, grant


def forbid(arena: Arena, grant: Any, reason: bytes = REASON) -> int:
    """Forbid the start of *grant* to go on; return the status."""
    return int(
        lib.sa_core_forbid(arena.core, grant.slot, grant.gen, reason, len(reason))
    )


def held(arena: Arena) -> Any:
    """Return the one event of a start that waits for its verdict."""
    (event,) = [it for it in arena.events() if it.type == Told.HELD]
    assert arena.slot(event.slot).state is State.HELD
    return event


def kept(arena: Arena, number: int) -> object:
    """Return what a slot keeps in the place of its last error."""
    slot = ffi.cast("struct sa_slot *", arena.segment.bytes + SLOTS_AT) + number
    arena_at = ffi.cast("struct sa_super *", arena.segment.bytes).arena_at
    data = arena.segment.read(arena_at + 64 * slot.out_at, slot.out_len)
    return msgpack.unpackb(data)


@pytest.mark.parametrize(
    ("kind", "payload", "delay_ns"),
    [
        (Kind.RETRY, REPORT, 0),
        (Kind.RETRY, REPORT, 10 * MS),
        (Kind.FAILED, REPORT, 0),
        (Kind.CANCELLED, REPORT, 0),
        (Kind.STOPPED, REPORT, 0),
        (lib.SA_RETRY_LIMITED, LIMITS + REPORT, 0),
    ],
)
def test_its_own_ending_is_kept_behind_the_reason_and_is_not_obeyed(
    arena_of: Make, kind: Kind, payload: bytes, delay_ns: int
) -> None:
    arena = arena_of(workers=1)
    producer, worker, grant = revoked(arena)

    worker.report(grant, kind, payload, delay_ns)
    arena.settle()

    event = held(arena)
    assert (event.a, event.b) == (lib.SA_FAULT_REVOKED, lib.SA_HELD_TOLD)
    assert kept(arena, grant.slot) == [msgpack.unpackb(REASON), msgpack.unpackb(REPORT)]
    slot = arena.slot(grant.slot)
    assert (slot.starts, slot.attempt, slot.crashes) == (1, 0, 0)
    assert worker.take() is None
    assert producer.drain() == []
    assert arena.check() == 0


def test_a_return_in_spite_of_it_counts(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    producer, worker, grant = revoked(arena)

    worker.report(grant, Kind.SUCCEEDED, b"done")
    arena.settle()

    (reply,) = producer.drain()
    assert (reply.kind, reply.payload) == (Kind.SUCCEEDED, b"done")


def test_one_that_is_handed_back_is_not_run_again(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, worker, grant = revoked(arena)

    worker.report(grant, Kind.HANDED_BACK)
    arena.settle()

    assert held(arena).a == lib.SA_FAULT_REVOKED
    assert kept(arena, grant.slot) == msgpack.unpackb(REASON)
    assert worker.take() is None


@pytest.mark.parametrize("kind", [Kind.UNKNOWN, Kind.EXPIRED])
def test_one_that_was_not_begun_at_all_is_cancelled_for_the_reason(
    arena_of: Make, kind: Kind
) -> None:
    arena = arena_of(workers=1)
    producer, worker, grant = revoked(arena)

    worker.report(grant, kind)
    arena.settle()

    (reply,) = producer.drain()
    assert (reply.kind, reply.payload, reply.starts) == (Kind.CANCELLED, REASON, 0)


@pytest.mark.parametrize(
    "fault", [Fault.CRASH, Fault.COLLATERAL, Fault.CORRUPT, Fault.HARD]
)
def test_a_death_is_neither_a_crash_nor_a_collateral_but_its_end(
    arena_of: Make, fault: Fault
) -> None:
    arena = arena_of(workers=1)
    _, _, grant = revoked(arena)

    assert arena.crash_worker(0, fault) == lib.SA_OK

    event = held(arena)
    assert (event.a, event.b) == (lib.SA_FAULT_REVOKED, lib.SA_HELD_LOST)
    slot = arena.slot(grant.slot)
    assert (slot.starts, slot.crashes, slot.collaterals) == (1, 0, 0)
    assert kept(arena, grant.slot) == msgpack.unpackb(REASON)


def test_another_supervisor_knows_of_it(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, _, grant = revoked(arena)

    arena.crash_supervisor()

    event = held(arena)
    assert (event.a, event.b) == (lib.SA_FAULT_REVOKED, lib.SA_HELD_LOST)
    assert kept(arena, grant.slot) == msgpack.unpackb(REASON)


def test_another_supervisor_knows_what_the_start_has_said_of_its_end(
    arena_of: Make,
) -> None:
    arena = arena_of(workers=1)
    _, worker, grant = revoked(arena)
    worker.report(grant, Kind.STOPPED, REPORT)
    arena.settle()

    arena.crash_supervisor()

    event = held(arena)
    assert (event.a, event.b) == (lib.SA_FAULT_REVOKED, lib.SA_HELD_BEFORE)
    assert kept(arena, grant.slot) == [msgpack.unpackb(REASON), msgpack.unpackb(REPORT)]


def test_a_wild_write_into_its_cell_does_not_let_it_run_again(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, _, grant = revoked(arena)
    cells_at = 4096
    arena.worker_rings[0].set_word(cells_at + 8 * grant.cell, 0)

    arena.crash_supervisor()

    assert held(arena).a == lib.SA_FAULT_REVOKED
    arena.start_worker(0)
    arena.settle()
    assert arena.workers[0].take() is None


def test_the_first_reason_stands(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, _, grant = revoked(arena)

    assert forbid(arena, grant, msgpack.packb({"reason": "another"})) == lib.SA_OK

    assert kept(arena, grant.slot) == msgpack.unpackb(REASON)


def test_what_does_not_run_cannot_be_forbidden_to_go_on(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(Task())
    arena.settle()
    (slot,) = arena.live_slots()
    core, key = arena.core, (slot.number, slot.gen)

    assert lib.sa_core_forbid(core, *key, REASON, len(REASON)) == lib.SA_STALE

    grant = worker.take()
    worker.report(grant, Kind.SUCCEEDED)
    arena.settle()
    assert forbid(arena, grant) == lib.SA_STALE
