"""F16, poison tasks among others; and who is to blame for a worker's death."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Sequence
from time import monotonic_ns

import pytest

from stem_actor import StemApp
from tests.fault.chaos import Tree
from tests.fault.conftest import IS_LONG, Place
from tests.fault.jobs import Plan
from tests.fault.soak import wait_until

TASKS = 5000 if IS_LONG else 1000
#: More than the restart budget, which is ten a minute.
IDLE_KILLS = 15
#: Of a worker's last look for a task, in its ring: ``status.beat_ns``.
BEAT_AT = 1280


@pytest.mark.parametrize("concurrency", [1, 8])
def test_one_percent_of_poison_is_dead_lettered_and_harms_nobody_else(
    place: Place, concurrency: int
) -> None:
    app = place.app(concurrency=concurrency, slots=16384)
    with app:
        soak = place.soak(app, 0, concurrency=concurrency)
        soak.report.kills = []  # nobody from outside
        prefix = "a" if concurrency > 1 else ""
        for plan in _mixed(prefix, TASKS):
            soak.enqueue(plan)
            if len(soak.plans) % 100 == 0:
                assert not _is_held_back(app)

        soak.drain()
        evidence = soak.evidence()

        assert soak.audit() == []
        poison = {key for key, plan in soak.plans.items() if plan.is_poison}
        assert len(poison) == TASKS // 100
        assert {task_id for task_id, _ in evidence.letters} == poison
        assert {evidence.tolls[task_id].crashes for task_id in poison} == {3}
        others = evidence.tolls.keys() - poison
        assert {evidence.tolls[task_id].crashes for task_id in others} == {0}


@pytest.mark.parametrize("name", ["poison", "apoison", "tpoison"])
def test_whatever_kills_an_async_worker_is_found_among_its_neighbours(
    place: Place, name: str
) -> None:
    app = place.app(workers=1, concurrency=8)
    with app:
        soak = place.soak(app, 0, concurrency=8)
        soak.report.kills = []
        neighbours = [
            soak.enqueue(Plan("awork", {"number": at, "seconds": 0.1}, "succeeded", 0))
            for at in range(20)
        ]
        plan = Plan(name, {"number": 20}, "failed", 0, is_poison=True)
        poison = soak.enqueue(plan)

        soak.drain()
        evidence = soak.evidence()

        assert soak.audit() == []
        assert evidence.tolls[poison.id].crashes == 3
        # A thread's crash is blamed on nobody until its task is run alone.
        most = 3 if name == "tpoison" else 0
        assert evidence.tolls[poison.id].collaterals <= most
        assert {evidence.tolls[it.id].crashes for it in neighbours} == {0}


def test_idle_workers_that_are_killed_are_replaced_at_once(place: Place) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        soak.submit(1)[0].wait(20)
        tree = Tree(app.directory)
        for turn in range(IDLE_KILLS):
            pid = _await_idle(app, turn % 3)
            assert tree.signal(pid, signal.SIGKILL)

        _await_idle(app, (IDLE_KILLS - 1) % 3)
        soak.drain()
        assert soak.audit() == []


def test_workers_that_are_killed_while_they_come_up_are_held_back(
    place: Place,
) -> None:
    app = place.app(workers=1)
    app.worker_init(_die)
    app.start()
    try:
        assert wait_until(lambda: _is_held_back(app), 30)
    finally:
        app.stop(deadline=1)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _is_held_back(app: StemApp) -> bool:
    """Whether the restart budget is used up."""
    return any("die before" in str(it) for it in app.health()["problems"])


def _await_idle(app: StemApp, index: int) -> int:
    """
    Return the pid of worker *index* once it has looked for a task in vain.

    Until then, no worker may have been held back.
    """
    ring = app.directory.worker_ring(index)
    since = monotonic_ns()
    pids: list[int] = []

    def has_looked() -> bool:
        assert not _is_held_back(app)
        (beat,) = struct.unpack("<Q", ring.read_bytes()[BEAT_AT : BEAT_AT + 8])
        rows = [it for it in app.workers() if it.index == index and it.phase == "live"]
        pids[:] = [row.pid for row in rows]  # a newborn looks before it is listed
        return bool(pids) and bool(beat > since)

    assert wait_until(has_looked, 20), app.health()
    return pids[0]


def _mixed(prefix: str, count: int) -> Sequence[Plan]:
    """*count* plans, each hundredth of them poison."""
    return [
        Plan(f"{prefix}poison", {"number": at}, "failed", 0, is_poison=True)
        if at % 100 == 50
        else Plan(f"{prefix}work", {"number": at}, "succeeded", 0)
        for at in range(count)
    ]
