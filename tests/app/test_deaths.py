"""Processes die; tasks do not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from stem_actor import StemApp
from stem_actor.errors import TaskFailedError, WorkerLost
from tests.app.conftest import Maker


def test_a_killed_workers_task_runs_again_as_the_same_attempt(
    app: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    handle = app.enqueue("journal", {"path": str(path), "seconds": 0.3})
    first = _first_line(path)

    os.kill(int(first[2]), signal.SIGKILL)

    assert handle.result(timeout=10) == 0
    assert len(path.read_text().splitlines()) == 2


def test_the_task_of_a_killed_worker_is_offered_again_at_once(
    app: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    app.enqueue("journal", {"path": str(path), "seconds": 0.5})
    first = _first_line(path)

    killed = time.monotonic_ns()
    os.kill(int(first[2]), signal.SIGKILL)
    second = _first_line(path, 1)

    # The figure (p99 50 ms) is bench/recovery.py's; this bound only tells a spare
    # that takes over from a worker that is forked and imports first.
    assert int(second[3]) - killed < 1_000_000_000


@pytest.mark.parametrize(
    ("name", "args", "signal_number", "exit_status"),
    [
        ("die", {"number": int(signal.SIGKILL)}, int(signal.SIGKILL), None),
        ("die", {"number": int(signal.SIGSEGV)}, int(signal.SIGSEGV), None),
        ("die", {"number": int(signal.SIGABRT)}, int(signal.SIGABRT), None),
        ("leave", {"status": 0}, None, 0),
        ("leave", {"status": 3}, None, 3),
    ],
)
def test_the_third_crash_dead_letters_with_its_cause(
    app: StemApp,
    name: str,
    args: dict[str, object],
    signal_number: int | None,
    exit_status: int | None,
) -> None:
    handle = app.enqueue(name, args)

    with pytest.raises(WorkerLost) as caught:
        handle.result(timeout=20)

    status = handle.status()
    assert status is not None
    assert status.starts == 3
    assert caught.value.signal == signal_number
    assert caught.value.exit_status == exit_status
    assert caught.value.error.meta["reason"] == "crashed"


def test_a_segfault_leaves_the_stack_in_the_record(app: StemApp) -> None:
    handle = app.enqueue("die", {"number": int(signal.SIGSEGV)})

    with pytest.raises(WorkerLost) as caught:
        handle.result(timeout=20)

    assert "jobs.py" in (caught.value.error.stack or "")


def test_without_late_acks_a_crash_is_terminal(app: StemApp, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    handle = app.enqueue("journal_once", {"path": str(path), "seconds": 5.0})
    first = _first_line(path)

    os.kill(int(first[2]), signal.SIGKILL)

    with pytest.raises(WorkerLost):
        handle.result(timeout=10)
    assert len(path.read_text().splitlines()) == 1


def test_a_supervisor_death_loses_nothing_and_counts_no_crash(
    app: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    running = app.enqueue("journal", {"path": str(path), "seconds": 0.4})
    _first_line(path)
    waiting = [app.enqueue("add", {"a": n}) for n in range(300)]

    os.kill(_supervisor(app), signal.SIGKILL)

    assert [handle.result(timeout=20) for handle in waiting] == list(range(300))
    assert running.result(timeout=20) == 0
    status = app.status(running.id)
    assert status is not None
    assert status.starts == 2
    assert status.meta["crashes"] == 0


def test_ten_supervisor_deaths_in_a_row_lose_nothing(app: StemApp) -> None:
    handles = []
    for round_ in range(10):
        handles += [app.enqueue("add", {"a": round_, "b": n}) for n in range(50)]
        before = _supervisor(app)
        os.kill(before, signal.SIGKILL)
        handles[-1].result(timeout=20)

    values = [handle.result(timeout=20) for handle in handles]

    assert values == [r + n for r in range(10) for n in range(50)]


def test_a_dead_guardian_is_replaced_by_the_next_call(app: StemApp) -> None:
    before = app.enqueue("pid", {}).result(timeout=10)
    guardian = app._host.guardian
    assert guardian is not None

    os.kill(guardian.pid, signal.SIGKILL)
    assert guardian.wait(10)
    after = app.enqueue("pid", {}).result(timeout=20)

    assert after != before


def test_workers_that_cannot_start_turn_health_red_and_do_not_storm(
    make_app: Maker,
) -> None:
    app = make_app(workers=1)

    @app.worker_init
    def broken() -> None:
        raise RuntimeError("no database")

    app.start()
    try:
        health = app.health()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            health = app.health()
            if any("die before" in problem for problem in health["problems"]):
                break
        assert not health["ok"]
        assert any("no database" in problem for problem in health["problems"])
    finally:
        app.stop(deadline=1)


def test_a_poison_coroutine_is_found_and_its_neighbours_are_not_blamed(
    make_app: Maker,
) -> None:
    with make_app(with_async=True, workers=1, concurrency=8) as app:
        neighbours = [app.enqueue("anap", {"seconds": 0.2}) for _ in range(5)]

        poison = app.enqueue("adie", {"seconds": 0.05}).wait(timeout=20)
        values = [handle.result(timeout=20) for handle in neighbours]
        crashes = [app.status(handle.id).meta["crashes"] for handle in neighbours]

    assert poison.is_failed
    assert poison.status.starts == 3
    assert values == ["rested"] * 5
    assert crashes == [0] * 5


def test_a_lost_task_names_its_worker(app: StemApp) -> None:
    with pytest.raises(TaskFailedError) as caught:
        app.enqueue("die", {"number": int(signal.SIGKILL)}).result(timeout=20)

    verdict = caught.value.error.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.signal) == ("crashed", signal.SIGKILL)
    assert verdict.pid
    assert verdict.worker is not None
    assert verdict.peak_rss


def _first_line(path: Path, at: int = 0) -> list[str]:
    """Wait for line *at* of a journal: id, attempt, pid, monotonic ns."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) > at:
            return lines[at].split()
        os.sched_yield()
    raise AssertionError("the handler has not started")


def _supervisor(app: StemApp) -> int:
    """The supervisor's pid; waits while one is being replaced."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pid = app.directory.owner()
        if pid:
            return pid
        os.sched_yield()
    raise AssertionError("there is no supervisor")
