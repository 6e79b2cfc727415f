"""Limits hold, and the record says which."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stem_actor import StemApp, TaskEnqueueOptions
from stem_actor.errors import HardTimeLimitExceeded, TaskFailedError
from tests.app.conftest import Maker


def test_a_busy_loop_ends_at_its_hard_limit(app: StemApp) -> None:
    began = time.monotonic()

    with pytest.raises(HardTimeLimitExceeded) as caught:
        app.enqueue("spin", {}).result(timeout=10)

    assert 0.2 <= time.monotonic() - began < 2.0
    assert caught.value.error.meta["reason"] == "hard"
    assert "in spin" in (caught.value.error.stack or "")
    assert app.enqueue("add", {"a": 1}).result(timeout=10) == 1


def test_a_soft_limit_interrupts_a_sleep(app: StemApp) -> None:
    began = time.monotonic()

    with pytest.raises(TaskFailedError) as caught:
        app.enqueue("nap_soft", {"seconds": 30}).result(timeout=10)

    assert time.monotonic() - began < 2.0
    assert caught.value.error.type == "SoftTimeLimitExceeded"


def test_a_task_below_its_limits_is_not_disturbed(app: StemApp) -> None:
    assert app.enqueue("nap_soft", {"seconds": 0.01}).result(timeout=10) == "rested"


def test_a_handler_that_swallows_everything_still_ends(app: StemApp) -> None:
    with pytest.raises(HardTimeLimitExceeded):
        app.enqueue("stubborn", {}).result(timeout=10)


def test_an_interrupted_worker_is_replaced(make_app: Maker) -> None:
    with make_app(workers=1) as app:
        before = app.enqueue("pid", {}).result(timeout=10)
        app.enqueue("nap_soft", {"seconds": 30}).wait(timeout=10)

        after = app.enqueue("pid", {}).result(timeout=10)

    assert after != before


def test_a_hard_limit_takes_escaped_grandchildren_along(
    app: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "pid"

    with pytest.raises(HardTimeLimitExceeded):
        app.enqueue("grandchild", {"path": str(path)}).result(timeout=10)

    pid = int(path.read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        os.sched_yield()
    assert not Path(f"/proc/{pid}").exists()


def test_a_coroutine_is_cancelled_at_its_soft_limit(make_app: Maker) -> None:
    with make_app(with_async=True, concurrency=4) as app:
        neighbours = [app.enqueue("anap", {"seconds": 0.3}) for _ in range(2)]

        result = app.enqueue("ablock", {}).wait(timeout=10)

        assert result.is_failed
        assert [it.result(timeout=10) for it in neighbours] == ["rested", "rested"]


def test_coroutines_run_side_by_side(make_app: Maker) -> None:
    with make_app(with_async=True, workers=1, concurrency=20) as app:
        began = time.monotonic()
        handles = [app.enqueue("anap", {"seconds": 0.3}) for _ in range(20)]

        values = [handle.result(timeout=20) for handle in handles]

    assert values == ["rested"] * 20
    assert time.monotonic() - began < 4.0  # one after another they would take 6 s


def test_a_worker_is_recycled_after_its_share_of_tasks(make_app: Maker) -> None:
    from stem_actor import WorkerLifecycle

    with make_app(workers=1, lifecycle=WorkerLifecycle(max_tasks=20)) as app:
        pids = set()
        deadline = time.monotonic() + 20
        while len(pids) < 3 and time.monotonic() < deadline:
            pids.add(app.enqueue("pid", {}).result(timeout=10))

    assert len(pids) >= 3


def test_extending_the_lease_does_not_lift_the_hard_limit(app: StemApp) -> None:
    began = time.monotonic()

    with pytest.raises(HardTimeLimitExceeded):
        app.enqueue("extend", {"by": 30}).result(timeout=10)

    assert time.monotonic() - began < 3.0


def test_a_task_ends_at_its_deadline_though_its_hard_limit_is_far(
    app: StemApp,
) -> None:
    began = time.monotonic()
    soon = TaskEnqueueOptions(deadline=datetime.now(UTC) + timedelta(seconds=0.4))

    handle = app.enqueue(
        "spin",
        {},
        enqueue_options=soon,
        options={"hard_time_limit": 60, "max_retries": 5},
    )
    with pytest.raises(HardTimeLimitExceeded, match="deadline") as caught:
        handle.result(timeout=10)

    assert 0.35 <= time.monotonic() - began < 2.4
    error = caught.value.error
    assert error.meta["reason"] == "hard"
    assert error.meta["attempt"] == 0  # another attempt could not begin any more


def test_a_task_whose_deadline_has_passed_is_not_started(
    app: StemApp, tmp_path: Path
) -> None:
    past = TaskEnqueueOptions(deadline=datetime.now(UTC) - timedelta(seconds=1))
    path = tmp_path / "journal"

    result = app.enqueue("journal", {"path": str(path)}, enqueue_options=past).wait(10)

    assert result.is_cancelled
    assert not path.exists()
