"""Retries and dead letters, through real workers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stem_actor import StemApp, TaskContext
from stem_actor.errors import TaskFailedError
from stem_actor.model.status import TaskStatus
from tests.app.conftest import Maker


def test_a_failing_attempt_is_tried_again_until_it_succeeds(app: StemApp) -> None:
    assert app.enqueue("fail_until", {"attempts": 3}).result(timeout=10) == 3


def test_exhausted_retries_fail_with_the_last_error(app: StemApp) -> None:
    with pytest.raises(TaskFailedError) as caught:
        app.enqueue("fail_until", {"attempts": 9}).result(timeout=10)

    assert caught.value.error.message == "attempt 3"


def test_a_policy_that_forbids_a_class_stops_at_the_first_attempt(app: StemApp) -> None:
    result = app.enqueue("no_retry", {"attempts": 1}).wait(timeout=10)

    assert result.is_failed
    assert result.status is not None
    assert result.status.attempt == 0


def test_a_handler_may_ask_for_a_retry(app: StemApp) -> None:
    assert app.enqueue("ask_retry", {}).result(timeout=10) == 1


def test_what_a_retry_asked_for_holds_for_all_later_attempts(app: StemApp) -> None:
    assert app.enqueue("ask_for_more", {}).result(timeout=10) == 3


def test_a_dead_letter_is_listed_replayed_and_purged(app: StemApp) -> None:
    app.enqueue("fail", {"message": "first"}).wait(timeout=10)
    app.enqueue("fail", {"message": "second"}).wait(timeout=10)
    letters = app.dead_letters()

    listed = letters.list()
    replayed = letters.replay(limit=1)
    for _ in range(400):
        if len(letters.list()) == 2 and {it.id for it in letters.list()} != {
            it.id for it in listed
        }:
            break
        app.enqueue("add", {"a": 1}).result(timeout=10)

    assert {it.error.message for it in listed} == {"first", "second"}
    assert len(replayed) == 1
    assert letters.purge() == 2
    assert letters.list() == []


def test_a_dead_letter_with_large_arguments_can_be_replayed(
    app: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "now"
    arguments = {"path": str(path), "value": "x" * 200_000}
    app.enqueue("fail_once", arguments).wait(timeout=10)
    spool = app.directory.spool
    path.touch()

    (replay,) = app.dead_letters().replay()
    task_id = str(replay.new_id)
    deadline = time.monotonic() + 10
    status = app.status(task_id)
    while time.monotonic() < deadline and not (status and status.is_terminal):
        status = app.status(task_id)

    assert status is not None
    assert status.payload == 200_000
    assert list(spool.glob("*.args")) == []  # they went with the letter and the task


def test_what_a_handler_wrote_before_it_raised_is_in_the_status(
    make_app: Maker, tmp_path: Path
) -> None:
    app, go = make_app(workers=1), tmp_path / "go"

    @app.task(name="load", max_retries=1)
    def load(context: TaskContext) -> None:
        context.meta["rows"] = 10 + context.attempt
        if context.attempt == 0:
            context.retry(countdown=0 if go.exists() else 600)
        raise ValueError("no room")

    with app:
        handle = load.enqueue()
        retried = _status_when(app, handle.id, "retried")
        assert handle.revoke()
        go.touch()
        result = load.enqueue().wait(timeout=10)
        failed = app.status(result.task_id)

    assert (retried.attempt, retried.meta["rows"]) == (1, 10)
    assert result.is_failed
    assert result.status is not None
    assert result.status.meta["rows"] == 11
    assert failed is not None
    assert failed.meta["rows"] == 11
    assert failed.error is not None
    assert failed.error.message == "no room"


def _status_when(app: StemApp, task_id: str, state: str) -> TaskStatus:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = app.status(task_id)
        if status is not None and status.state == state:
            return status
    raise AssertionError(f"task {task_id} was never {state}")
