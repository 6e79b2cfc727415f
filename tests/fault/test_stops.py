"""F5: whoever is stopped for a while runs nothing twice and holds nobody else up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.fault.chaos import Tree
from tests.fault.conftest import Place
from tests.fault.evidence import told
from tests.fault.jobs import Plan
from tests.fault.journal import Mark, read_journal
from tests.fault.program import program, read_ledger
from tests.fault.soak import Soak, wait_until

STOP_S: Final = 1.5
QUICK: Final = Plan("work", {"number": 0}, "succeeded", 0)


def test_a_worker_that_is_stopped_with_offers_in_its_mailbox_gives_them_up(
    place: Place,
) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        soak.report.kills = []
        plan = Plan("work", {"number": 0, "seconds": 0.2}, "succeeded", 0)
        for handle in [soak.enqueue(QUICK) for _ in range(200)]:
            handle.result(20)  # they teach the supervisor to offer ahead
        first = soak.enqueue(plan)
        pid = _pid_of(soak, first.id)
        others = [soak.enqueue(QUICK) for _ in range(200)]
        with _stopped(pid):
            for handle in others:
                handle.result(20)
            assert wait_until(lambda: not app.health()["ok"], 20)
            _hold(STOP_S)
            assert not first.done

        first.result(20)
        assert wait_until(lambda: app.health()["ok"], 20)
        assert {told(handle).starts for handle in (first, *others)} == {1}
        soak.drain()
        assert soak.audit() == []


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_worker_that_is_stopped_while_it_rests_holds_no_task_up(
    place: Place, concurrency: int
) -> None:
    app = place.app(concurrency=concurrency)
    with app:
        soak = place.soak(app, 0)
        soak.report.kills = []
        soak.enqueue(QUICK).result(20)
        pid = next(row.pid for row in app.workers() if not row.is_spare)
        with _stopped(pid):
            for handle in [soak.enqueue(QUICK) for _ in range(50)]:
                handle.result(20)

        # Once it has looked for a task, it takes its share again.
        assert wait_until(lambda: pid == _pid_of(soak, soak.enqueue(QUICK).id), 20), (
            "it is offered nothing any more"
        )
        soak.drain()
        assert soak.audit() == []


def test_while_the_supervisor_is_stopped_workers_end_what_they_have(
    place: Place,
) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        soak.report.kills = []
        plan = Plan("work", {"number": 0, "seconds": 0.2}, "succeeded", 0)
        running = [soak.enqueue(plan) for _ in range(2)]
        for handle in running:
            _pid_of(soak, handle.id)
        supervisor = app.directory.owner()
        assert supervisor
        with _stopped(supervisor):
            later = [soak.enqueue(QUICK) for _ in range(100)]  # accepted all the same
            assert wait_until(lambda: _ended(soak) >= {it.id for it in running}, 20)
            _hold(STOP_S)
            assert not any(handle.done for handle in later)

        for handle in (*running, *later):
            handle.result(20)
        assert app.directory.owner() == supervisor, "a stop is no death"
        assert {told(handle).starts for handle in (*running, *later)} == {1}
        soak.drain()
        assert soak.audit() == []


def test_a_tree_that_is_stopped_whole_goes_on_where_it_was(place: Place) -> None:
    app = place.app()
    with app:
        soak = place.soak(app, 0)
        soak.report.kills = []
        soak.submit(200)
        tree = Tree(app.directory)
        pids = [*tree.workers(), *tree.zygotes(), tree.supervisor(), tree.guardian()]
        for pid in pids:
            tree.signal(pid, signal.SIGSTOP)
        try:
            _hold(STOP_S)
        finally:
            for pid in pids:
                tree.signal(pid, signal.SIGCONT)

        soak.drain()
        assert soak.audit() == []


def test_a_producer_that_is_stopped_for_long_loses_no_result_and_no_room(
    place: Place,
) -> None:
    ledger = place.root / "ledger"
    app = place.named()
    with app:
        soak = place.soak(app, 6)
        with program(
            "producer", place.ring, ledger, place.journal, seed=6, count=400
        ) as process:
            assert wait_until(lambda: len(read_ledger(ledger).accepted) > 30, 30)
            with _stopped(process.pid):
                soak.submit(200)
                _hold(STOP_S)
                soak.drain()  # the stopped one's replies are in nobody's way
            assert wait_until(lambda: len(read_ledger(ledger).accepted) == 400, 30)
        assert wait_until(lambda: app.stats()["live"] == 0, 60), app.health()
        soak.take_over(read_ledger(ledger))
        soak.report.kills = []
        assert soak.audit() == []


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _hold(seconds: float) -> None:
    """Let time pass: that nothing happens in it is what is tested."""
    threading.Event().wait(seconds)


def _pid_of(soak: Soak, task_id: str) -> int:
    """Return the process that runs a task, once it has started it."""
    pids: list[int] = []

    def has_started() -> bool:
        lines = read_journal(soak.journal)
        starts = (it for it in lines if it.mark is Mark.START)
        pids[:] = [it.pid for it in starts if it.task_id == task_id]
        return bool(pids)

    assert wait_until(has_started, 20), "the handler has not started"
    return pids[0]


def _ended(soak: Soak) -> set[str]:
    lines = read_journal(soak.journal)
    return {it.task_id for it in lines if it.mark is Mark.END}
