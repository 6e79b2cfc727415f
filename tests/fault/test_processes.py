"""Real processes under fire: nothing lost, nothing twice, nothing left, no wedge."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from stem_actor import TaskHandle
from stem_actor.errors import RingError
from tests.fault.chaos import Tree, schedule
from tests.fault.conftest import SECONDS, SEEDS, TASKS, Footprint, Place
from tests.fault.evidence import told
from tests.fault.jobs import Plan
from tests.fault.journal import Line, Mark, read_journal
from tests.fault.soak import Soak, wait_until

WORKERS = ("worker",)
SUPERVISORS = ("supervisor", "supervisor_again", "both")
ZYGOTES = ("zygote", "worker")
GUARDIANS = ("guardian",)
STOPS = ("stop_worker", "stop_supervisor")
ALL = (*WORKERS, *SUPERVISORS, "zygote", *GUARDIANS, *STOPS)

#: In place of a supervisor that takes long to die.
HOLD_LOCK = """
import fcntl, select, struct, sys
with open(sys.argv[1], "r+") as file:
    print(flush=True)
    whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    fcntl.fcntl(file, fcntl.F_OFD_SETLKW, whole)
    print(flush=True)
    select.select([], [], [], 0.3)
"""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "faults",
    [WORKERS, SUPERVISORS, ZYGOTES, GUARDIANS, STOPS, ALL],
    ids=["workers", "supervisors", "zygotes", "guardians", "stops", "all"],
)
def test_under_fire_every_store_says_the_same(
    place: Place, faults: tuple[str, ...], seed: int
) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, seed)
        soak.submit(1)[0].wait(20)
        before = Footprint.settled(app)

        soak.under_fire(faults, seed=seed, seconds=SECONDS, tasks=TASKS)

        assert soak.audit() == []
        assert set(soak.report.done) == set(faults), "a fault of the seed hit nobody"
        assert wait_until(lambda: before.is_that_of(app), 20), (
            f"I6: {before} became {Footprint.of(app)}"
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_one_worker_starts_what_met_no_fault_in_the_order_of_the_calls(
    place: Place, seed: int
) -> None:
    app = place.app(workers=1)
    with app:
        soak = place.soak(app, seed, is_ordered=True)
        soak.submit(1)[0].wait(20)

        soak.under_fire(
            ("worker", "supervisor"), seed=seed, seconds=SECONDS, tasks=TASKS
        )

        assert soak.audit() == []


def test_a_start_is_counted_once_for_each_time_its_handler_ran(place: Place) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        for _ in range(10):
            handle = _long_task(soak)
            os.kill(_first_start(soak, handle).pid, signal.SIGKILL)
            handle.result(20)

        assert soak.audit() == []  # with no loss allowed

    assert {told(handle).starts for handle in soak.handles.values()} == {2}


def test_a_supervisor_killed_with_every_worker_busy_costs_one_start_each(
    place: Place,
) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        for _ in range(3):
            pair = [_long_task(soak), _long_task(soak)]
            for handle in pair:
                _first_start(soak, handle)
            assert Tree(app.directory).signal(app.directory.owner(), signal.SIGKILL)
            for handle in pair:
                handle.result(20)

        assert soak.audit() == []

    assert {told(handle).starts for handle in soak.handles.values()} == {2}


def test_a_stopped_worker_keeps_its_task_and_holds_nobody_else_up(place: Place) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        slow = _long_task(soak)
        pid = _first_start(soak, slow).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            others = [_task(soak, seconds=0.0) for _ in range(50)]
            for handle in others:
                handle.result(20)
            assert not slow.done
        finally:
            os.kill(pid, signal.SIGCONT)

        slow.result(20)
        assert told(slow).starts == 1
        assert soak.audit() == []


def test_a_tree_without_a_zygote_starts_again_with_its_tasks(place: Place) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        running = _long_task(soak)
        _first_start(soak, running)
        tree = Tree(app.directory)
        before = tree.guardian()
        assert wait_until(lambda: len(tree.zygotes()) == 2, 20)
        pids = tree.zygotes()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # so that neither can make another spare
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

        running.result(30)

        assert tree.guardian() != before
        soak.report.losses = 3
        soak.drain()
        assert soak.audit() == []


def test_the_bell_is_heard_by_a_tree_that_was_started_again(place: Place) -> None:
    app = place.app()
    with app:
        app.enqueue("work", {"journal": str(place.journal), "number": 0}).result(20)
        tree = Tree(app.directory)
        before = tree.guardian()
        assert tree.signal(before, signal.SIGKILL)

        # The first calls may still be answered by the supervisor that is dying.
        assert wait_until(
            lambda: app.stats() and tree.guardian() not in (None, before), 20
        )

        ours = _eventfd_id("self", app.connection._bell_fd)
        assert _eventfd_id(str(tree.supervisor()), 4) == ours


def kill_guardian(tree: Tree) -> bool:
    return tree.signal(tree.guardian(), signal.SIGKILL)


def test_a_call_right_after_the_guardians_death_finds_a_new_one(place: Place) -> None:
    app = place.app()
    with app:
        tree = Tree(app.directory)
        for _ in range(5):
            # The call may still be answered by the supervisor that is dying.
            assert wait_until(lambda: app.stats() and kill_guardian(tree), 20)
            assert app.stats()["live"] == 0


def test_a_call_waits_for_the_lock_of_a_supervisor_that_is_dying(place: Place) -> None:
    app = place.app()
    with app:
        tree = Tree(app.directory)
        supervisor = tree.supervisor()
        command = [sys.executable, "-c", HOLD_LOCK, str(app.directory.lock)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()  # it is about to ask for the lock
            assert tree.signal(tree.guardian(), signal.SIGKILL)
            holder.stdout.readline()  # it has it

            assert app.stats()["live"] == 0

        assert tree.supervisor() != supervisor


def test_a_stop_that_finds_the_guardian_just_dead_leaves_nothing_open(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = place.app()
    app.start()
    guardian = app._host.guardian if app._host else None
    assert guardian is not None
    guardian.end(keep=True)
    assert guardian.wait(20)
    looks = iter([True])  # at the first look it still lived
    monkeypatch.setattr(guardian, "is_alive", lambda: next(looks, False))
    path = app.directory.path

    app.stop()

    assert not path.exists()


def test_a_tree_that_cannot_start_again_now_keeps_its_ring_for_later(
    place: Place,
) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        soak.submit(50)
        tree, page = Tree(app.directory), app.directory.bell
        kept = page.with_suffix(".kept")
        page.rename(kept)  # the supervisor that runs has it mapped; the next wants it
        page.mkdir()
        assert tree.signal(tree.guardian(), signal.SIGKILL)

        with pytest.raises(RingError, match="bell"):
            wait_until(lambda: not app.stats(), 20)
        page.rmdir()
        kept.rename(page)

        soak.report.losses = 3
        soak.drain()
        assert soak.audit() == []


def test_a_schedule_is_its_seed_and_holds_every_kind() -> None:
    first = schedule(7, ALL, 2.0)

    assert schedule(7, ALL, 2.0) == first
    assert schedule(8, ALL, 2.0) != first
    assert set(Counter(fault.kind for fault in first)) == set(ALL)


def _task(soak: Soak, *, seconds: float) -> TaskHandle[Any]:
    number = len(soak.plans)
    args = {"number": number, "seconds": seconds}
    handle = soak.app.enqueue("work", {"journal": str(soak.journal), **args})
    soak.plans[handle.id] = Plan("work", args, "succeeded", 0)
    soak.handles[handle.id] = handle
    return handle


def _long_task(soak: Soak) -> TaskHandle[Any]:
    return _task(soak, seconds=0.2)


def _first_start(soak: Soak, handle: TaskHandle[Any]) -> Line:
    found: list[Line] = []

    def started() -> bool:
        found[:] = [
            line
            for line in read_journal(soak.journal)
            if line.task_id == handle.id and line.mark is Mark.START
        ]
        return bool(found)

    assert wait_until(started, 20), "the handler has not started"
    return found[0]


def _eventfd_id(pid: str, fd: int) -> str:
    with open(f"/proc/{pid}/fdinfo/{fd}") as file:
        return next(line for line in file if line.startswith("eventfd-id"))
