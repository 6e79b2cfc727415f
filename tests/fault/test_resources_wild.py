"""F19 and F20: a worker writes over its own rings; hints get lost."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from stem_actor import StemApp, TaskHandle
from stem_actor.errors import WorkerLost
from stem_actor.ring.directory import RingDirectory
from tests.fault.chaos import Tree
from tests.fault.conftest import Footprint, Place
from tests.fault.journal import Mark, read_journal
from tests.fault.scarcity import Region, add_handlers
from tests.fault.soak import wait_until

#: Parts of a worker's ring file with 64 cells, see ``native/sa_layout.h``.
_LINE: Final = 128
_CELLS_AT, _CELLS = 4096, 64
_ORDER_AT: Final = _CELLS_AT + 16 * _CELLS
_RINGS_AT, _TOTAL = 8192, 8192 + (1 << 17) + (1 << 19)
_ORDER_TAIL, _ORDER_HEAD = 8 * _LINE, 9 * _LINE
PARTS: Final[dict[str, list[Region]]] = {
    "all": [(0, _TOTAL)],
    "head": [(0, _LINE)],
    "submit": [(1 * _LINE, 8), (2 * _LINE, 8)],
    "report tail": [(3 * _LINE, 8)],
    "report head": [(4 * _LINE, 8)],
    "sleep": [(5 * _LINE, 3 * _LINE)],
    "order": [(_ORDER_TAIL, 8), (_ORDER_HEAD, 8), (_ORDER_AT, 8 * _CELLS)],
    "status": [(10 * _LINE, _LINE)],
    "control": [(11 * _LINE, _LINE)],
    "cells": [(_CELLS_AT, 8 * _CELLS)],
    "times": [(_CELLS_AT + 8 * _CELLS, 8 * _CELLS)],
    "bytes": [(_RINGS_AT, _TOTAL - _RINGS_AT)],
}
#: Whose loss makes the worker useless: it is found out even while it lives.
DEADLY: Final = ("all", "head", "report head", "cells")


@pytest.mark.parametrize("part", PARTS)
def test_a_worker_that_writes_over_its_rings_and_dies_harms_nobody(
    place: Place, part: str
) -> None:
    with _tree(place) as app:
        before = Footprint.settled(app)

        wild = _wild(app, place, part, then="die")
        others = _others(app)

        assert wild.result(20) == 0, "its second start does no harm"
        _are_unharmed(app, others)
        status = wild.wait(0).status
        assert status is not None
        assert (status.starts, _starts(place, wild)) == (2, 2)
        assert app.stats()["crashes"] >= 1
        assert wait_until(lambda: before.is_that_of(app), 20)


#: The most that one worker holds.
_CREDITS = 64


@pytest.mark.parametrize("part", ["all", "cells", "head"])
def test_a_task_that_always_does_so_is_given_up_after_its_third_crash(
    place: Place, part: str
) -> None:
    with _tree(place) as app:
        wild = _wild(app, place, part, then="die", once=False)
        others = _others(app)

        with pytest.raises(WorkerLost) as caught:
            wild.result(20)

        _are_unharmed(app, others)
        # The sweep may find the ring spoilt, and end the worker, before it crashes.
        assert caught.value.signal in (signal.SIGSEGV, signal.SIGKILL)
        assert caught.value.error.meta["starts"] == 3
        assert _starts(place, wild) == 3
        stats = app.stats()
        assert stats["deadLetters"] == stats["failed"] == 1
        assert stats["corrupt"] >= (part != "head")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("then", ["live", "stay"])
def test_a_worker_that_goes_on_living_is_replaced_where_it_must_be(
    place: Place, part: str, then: str
) -> None:
    with _tree(place) as app:
        before = Footprint.settled(app)

        wild = _wild(app, place, part, then=then)
        others = _others(app)

        _are_unharmed(app, others)
        if then == "live":
            assert wild.result(20) in (0, 1)
        elif part in DEADLY:
            assert wild.result(20) == 0
        if part in DEADLY and then == "stay":
            assert app.stats()["corrupt"] >= 1
        app.revoke(wild.id, terminate=True)
        wild.wait(20)
        _probe_all(app)
        assert wait_until(lambda: before.is_that_of(app), 20)


@pytest.mark.parametrize("part", ["all", "head", "cells"])
def test_a_supervisor_that_dies_beside_a_spoilt_ring_recovers_without_it(
    place: Place, part: str
) -> None:
    with _tree(place) as app:
        tree = Tree(app.directory)
        supervisor = tree.supervisor()
        assert tree.signal(supervisor, signal.SIGSTOP)  # before it can look
        _spoil(app.directory, 0, PARTS[part])
        assert tree.signal(supervisor, signal.SIGKILL)
        others = _others(app)

        _are_unharmed(app, others)

        assert tree.supervisor() != supervisor
        _probe_all(app)
        assert wait_until(lambda: app.health()["ok"], 10), app.health()
        assert wait_until(lambda: len(tree.workers()) == 3, 20)


def test_lost_hints_delay_a_task_and_lose_none(place: Place) -> None:
    with _tree(place) as app:
        rings = [_map(app.directory, index) for index in range(3)]
        bell = _map_file(app.directory.bell)
        try:
            longest = 0.0
            for turn in range(40):
                handles = [app.enqueue("echo", {"number": n}) for n in range(50)]
                for ring in rings:
                    _lose_hints(ring, turn)
                bell[0:4] = bytes(4)  # "the supervisor is awake"
                began = time.monotonic()
                assert [it.result(20) for it in handles] == list(range(50))
                longest = max(longest, time.monotonic() - began)
        finally:
            for ring in (*rings, bell):
                ring.close()
        _probe_all(app)

        stats = app.stats()
        assert longest < 5, "the sweeps are 50 and 100 ms"
        assert (stats["corrupt"], stats["crashes"], stats["stale"]) == (0, 0, 0)
        assert app.health()["ok"]


# --- inside


@contextmanager
def _tree(place: Place) -> Iterator[StemApp]:
    """An app whose workers have shown to be quick: each is offered many tasks."""
    with add_handlers(place.app()) as app:
        for handle in [app.enqueue("echo", {"number": n}) for n in range(400)]:
            handle.result(20)
        yield app


def _wild(
    app: StemApp, place: Place, part: str, *, then: str, once: bool = True
) -> TaskHandle[Any]:
    args = {
        "journal": str(place.journal),
        "regions": PARTS[part],
        "seed": 7,
        "then": then,
        "once": once,
    }
    return app.enqueue("scribble", args)


def _others(app: StemApp) -> list[TaskHandle[Any]]:
    return [app.enqueue("echo", {"number": n}) for n in range(300)]


def _are_unharmed(app: StemApp, handles: list[TaskHandle[Any]]) -> None:
    """Each ends well; a crash is on the account of none but those that ran."""
    assert [it.result(20) for it in handles] == list(range(len(handles)))
    found = [app.status(it.id) for it in handles]
    crashed = [it for it in found if it is not None and it.meta["crashes"] != 0]
    # An outcome that was committed, and written over before it was read, is lost; so is
    # each that its worker commits behind it until it is ended, of what it was offered.
    assert len(crashed) <= _CREDITS, crashed
    assert {it.meta["crashes"] for it in crashed} <= {1}


def _starts(place: Place, handle: TaskHandle[Any]) -> int:
    lines = read_journal(place.journal)
    return sum(it.task_id == handle.id and it.mark is Mark.START for it in lines)


def _probe_all(app: StemApp) -> None:
    """Both workers that take tasks do so."""
    seen: set[object] = set()

    def both() -> bool:
        seen.update(it.result(20) for it in [app.enqueue("pid") for _ in range(20)])
        return len(seen & _serving(app)) == 2

    assert wait_until(both, 20), (seen, app.workers())


def _serving(app: StemApp) -> set[object]:
    return {it.pid for it in app.workers() if it.phase == "live" and not it.is_spare}


def _map(directory: RingDirectory, index: int) -> mmap.mmap:
    return _map_file(directory.worker_ring(index))


def _map_file(path: Any) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def _spoil(directory: RingDirectory, index: int, regions: list[Region]) -> None:
    ring = _map(directory, index)
    for at, size in regions:
        ring[at : at + size] = os.urandom(size)
    ring.close()


def _lose_hints(ring: mmap.mmap, turn: int) -> None:
    """Zero the order ring; in turn its contents, its tail, its head."""
    at, size = [(_ORDER_AT, 8 * _CELLS), (_ORDER_TAIL, 8), (_ORDER_HEAD, 8)][turn % 3]
    ring[at : at + size] = bytes(size)
