"""Health is red while something is stuck, and says what; else it is green."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stem_actor import StemApp
from tests.app.conftest import Maker
from tests.app.until import until
from tests.ring.memory import SLOTS_AT, State


def problems(app: StemApp) -> str:
    return "; ".join(app.health()["problems"])


def test_tasks_in_the_mailbox_of_a_hung_worker_are_a_problem(
    make_app: Maker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with make_app(workers=1) as app:
        handles = [app.enqueue("wait_for", {"path": str(go)}) for _ in range(4)]

        told = until(lambda: next((it for it in [problems(app)] if "wait" in it), None))

        assert told.startswith("3 tasks wait, nothing has started for ")
        go.touch()
        for handle in handles:
            handle.result(timeout=60)
        assert until(lambda: not problems(app))


def test_a_stopped_worker_is_a_problem_until_it_goes_on(app: StemApp) -> None:
    until(lambda: app.health()["ok"])  # at first there is no worker
    [first, *_] = app.workers()

    os.kill(first.pid, signal.SIGSTOP)
    try:
        told = until(lambda: problems(app))
    finally:
        os.kill(first.pid, signal.SIGCONT)

    assert f"stopped worker processes: {first.pid}" in told
    assert until(lambda: app.health()["ok"])


def test_a_slot_that_was_given_up_in_recovery_is_logged_and_told(
    make_app: Maker,
) -> None:
    app = make_app(broker="ring://spoilt")
    with app:
        assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3
        log = app.directory.path / "supervisor.log"
        core = app.directory.core
    spoil_the_queue_of_finished_slots(core)

    with app:
        told = problems(app)
        assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3

    assert "tasks lost when this supervisor started: 1" in told
    assert "slots given up in recovery: 1" in log.read_text()


def test_a_running_task_shows_the_start_that_runs(app: StemApp, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    handle = app.enqueue("journal", {"path": str(path), "seconds": 60.0})
    until(path.exists)

    status = until(handle.status)
    [row] = app.connection.request("list", state="running")["tasks"]

    assert (status.state, status.starts, row["starts"]) == ("running", 1, 1)
    handle.revoke(terminate=True)


def spoil_the_queue_of_finished_slots(core: Path) -> None:
    """Write a number that no queue has where a slot has its queue."""
    with core.open("r+b") as file:
        for at in range(SLOTS_AT, SLOTS_AT + 1024 * 128, 128):
            file.seek(at + 7)
            if file.read(1)[0] >> 4 == State.FINISHED:
                file.seek(at + 68)
                file.write(b"\xf0\xff\xff\xff")
