"""Events: what is told of a task and of its worker, to whom, in which order."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stem_actor import (
    StemApp,
    TaskCancelled,
    TaskEnqueueOptions,
    TaskEvent,
    TaskFailed,
    TaskHeartbeat,
    TaskLapsed,
    TaskProgress,
    TaskReceived,
    TaskReplayed,
    TaskRetried,
    TaskRunEnded,
    TaskStarted,
    TaskState,
    TaskSucceeded,
    TaskTimeout,
    WorkerDied,
    WorkerStopped,
)
from tests.app.conftest import Maker
from tests.app.told import LIFE, TIMEOUT_S, add_talkers, next_one, of_type, types, up_to


@pytest.fixture
def app(make_app: Maker) -> StemApp:
    """An app, not started, with two workers."""
    return add_talkers(make_app())


def test_a_task_tells_of_its_life_in_order_and_of_where_it_ran(app: StemApp) -> None:
    with app, app.events(types=[TaskEvent]) as stream:
        handle = app.enqueue("talk")
        handle.result(TIMEOUT_S)
        seen = up_to(stream, TaskRunEnded)
        workers = {it.pid: it.index for it in app.workers()}

    assert types(seen) == [
        TaskReceived, TaskStarted, TaskProgress, TaskHeartbeat, TaskHeartbeat,
        TaskSucceeded, TaskRunEnded,
    ]  # fmt: skip
    tasks = of_type(seen, TaskEvent)
    assert {(it.task_id, it.name, it.queue) for it in tasks} == {
        (handle.id, "talk", "default")
    }
    assert (tasks[0].starts, tasks[0].worker, tasks[0].pid) == (0, None, None)
    assert {it.starts for it in tasks[1:]} == {1}
    assert {(it.pid, it.worker) for it in tasks[1:]} <= set(workers.items())
    assert [(it.percent, it.data) for it in of_type(seen, TaskProgress)] == [
        (50, {"step": "half"})
    ]
    assert [it.extends for it in of_type(seen, TaskHeartbeat)] == [0, 2]
    assert [it.state for it in of_type(seen, TaskRunEnded)] == [TaskState.SUCCEEDED]
    assert [it.at for it in tasks] == sorted(it.at for it in tasks)
    assert abs(datetime.now(UTC) - tasks[0].at) < timedelta(minutes=1)


@pytest.mark.case(53)
def test_a_task_over_both_limits_is_told_of_once_in_order_at_each_attempt(
    app: StemApp,
) -> None:
    with app, app.events(types=[TaskEvent]) as stream:
        handle = app.enqueue("hold_on")
        status = handle.wait(TIMEOUT_S)
        seen = up_to(stream, TaskFailed)
        seen.append(next_one(stream))
        more = stream.get(0.3)

    over = [TaskStarted, TaskTimeout, TaskTimeout]
    assert types(seen) == [
        TaskReceived, *over, TaskRetried, TaskRunEnded, *over, TaskFailed, TaskRunEnded,
    ]  # fmt: skip
    assert more is None
    assert [(it.level, it.limit, it.starts) for it in of_type(seen, TaskTimeout)] == [
        ("soft", 0.2, 1), ("hard", 0.5, 1), ("soft", 0.2, 2), ("hard", 0.5, 2),
    ]  # fmt: skip
    assert status.is_failed
    [retried], [failed] = of_type(seen, TaskRetried), of_type(seen, TaskFailed)
    for event, attempt in ((retried, 0), (failed, 1)):
        verdict = event.error.verdict
        assert (event.attempt, event.error.type) == (attempt, "HardTimeLimitExceeded")
        assert verdict is not None
        assert verdict.reason == "hard"
        assert "hold_on" in (event.error.stack or "")
        assert (event.worker, event.pid) == (verdict.worker, verdict.pid)
    assert retried.delay > 0
    pids = {it.pid for it in of_type(seen, TaskStarted)}
    assert len(pids) == 2, "a retry after a kill runs in another process"


def test_a_soft_limit_that_only_tells_is_told_once_and_changes_nothing(
    app: StemApp, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    options = {"soft_time_limit": 0.1, "soft_limit": "event"}
    with app, app.events(types=[TaskEvent]) as stream:
        handle = app.enqueue("wait_for", {"path": str(gate)}, options=options)
        seen = up_to(stream, TaskTimeout)
        gate.touch()
        handle.result(TIMEOUT_S)
        seen += up_to(stream, TaskRunEnded)

    assert types(seen) == [*LIFE[:2], TaskTimeout, *LIFE[2:]]


def test_a_retry_carries_its_error_its_delay_and_what_the_handler_had_stored(
    app: StemApp,
) -> None:
    with app, app.events(types=[TaskRetried, TaskFailed]) as stream:
        app.enqueue("save").wait(TIMEOUT_S)
        retried, failed = next_one(stream), next_one(stream)

    assert isinstance(retried, TaskRetried)
    assert isinstance(failed, TaskFailed)
    assert (retried.attempt, failed.attempt) == (0, 1)
    assert retried.error.message == failed.error.message == "gone"
    assert retried.meta == failed.meta == {"page": 7}
    assert 0 < retried.delay <= 0.01
    assert retried.error.verdict is not None
    assert retried.error.verdict.reason == "raised"


def test_revoked_and_expired_tasks_tell_why_and_were_never_started(
    app: StemApp,
) -> None:
    expires = TaskEnqueueOptions(expires=0.05, countdown=30)
    with app, app.events(types=[TaskEvent]) as stream:
        revoked = app.enqueue("add", {"a": 1}, not_before=600)
        app.revoke(revoked.id, reason="no longer needed")
        lapsed = app.enqueue("add", {"a": 1}, enqueue_options=expires)
        seen = up_to(stream, TaskLapsed)

    assert types(seen) == [TaskReceived, TaskCancelled, TaskReceived, TaskLapsed]
    [cancelled] = of_type(seen, TaskCancelled)
    assert (cancelled.task_id, cancelled.reason) == (revoked.id, "no longer needed")
    assert of_type(seen, TaskLapsed)[0].task_id == lapsed.id


def test_a_killed_worker_is_told_of_and_so_is_the_replay_of_its_task(
    app: StemApp, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with app, app.events() as stream:
        handle = app.enqueue("wait_for", {"path": str(gate)})
        [started] = of_type(up_to(stream, TaskStarted), TaskStarted)
        assert started.pid
        os.kill(started.pid, signal.SIGKILL)
        seen = up_to(stream, TaskStarted)
        gate.touch()
        handle.result(TIMEOUT_S)
        seen += up_to(stream, TaskRunEnded)

    [died] = of_type(seen, WorkerDied)
    assert (died.worker, died.pid) == (started.worker, started.pid)
    assert (died.signal_number, died.reason) == (signal.SIGKILL, None)
    [replayed] = of_type(seen, TaskReplayed)
    assert (replayed.reason, replayed.attempt, replayed.starts) == ("crashed", 0, 1)
    verdict = replayed.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.signal) == ("crashed", signal.SIGKILL)
    assert (verdict.pid, verdict.worker) == (started.pid, started.worker)
    assert verdict.wall_s is not None
    assert [it.starts for it in of_type(seen, TaskStarted)] == [2]
    ended = [(it.starts, it.state) for it in of_type(seen, TaskRunEnded)]
    assert ended == [(1, TaskState.QUEUED), (2, TaskState.SUCCEEDED)]


def test_a_worker_that_is_killed_between_tasks_has_died_and_not_left_in_peace(
    app: StemApp,
) -> None:
    with app, app.events(types=[WorkerDied, WorkerStopped]) as stream:
        app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
        idle = app.workers()[0].pid
        assert idle
        os.kill(idle, signal.SIGKILL)

        died = next_one(stream)

    assert isinstance(died, WorkerDied)
    assert (died.pid, died.signal_number) == (idle, signal.SIGKILL)
