"""Starts that are run again are counted, whoever ended them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stem_actor._core import ffi, lib

from .harness import Arena
from .memory import Fault, Kind
from .peers import Task

Make = Callable[..., Arena]

STATS_AT = 4096


@pytest.mark.parametrize("fault", [Fault.CRASH, Fault.COLLATERAL])
def test_a_start_lost_with_its_worker_is_repeated_by_the_verdict(
    arena_of: Make, fault: Fault
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    (task,) = producer.submit(Task())
    arena.settle()
    assert worker.take() is not None
    arena.crash_worker(0, fault)
    slot = arena.find(task.id)
    assert slot is not None
    assert repeated(arena) == 0  # the verdict may be that it has failed

    assert lib.sa_core_release(arena.core, slot.number, slot.gen, b"", 0) == lib.SA_OK

    assert repeated(arena) == 1


def test_a_start_that_was_handed_back_is_repeated(arena_of: Make) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(Task())
    arena.settle()

    worker.report(worker.take(), Kind.HANDED_BACK)
    arena.settle()

    assert repeated(arena) == 1


def repeated(arena: Arena) -> int:
    stats = ffi.cast("struct sa_stats *", arena.segment.bytes + STATS_AT)
    return int(stats.repeated)
