"""Encoders that fail, hang or kill: their tasks suffer it, and nothing else does."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from stem_actor import (
    Base64PayloadEncoder,
    PayloadError,
    TaskMetadata,
    TaskPayloadEncoder,
    WorkerLost,
)
from tests.app import jobs
from tests.app.conftest import Maker


class Hostile(TaskPayloadEncoder):
    """Does to results what it is told to."""

    id = "hostile"

    def __init__(self, how: str) -> None:
        self._how = how

    def encode(self, value: object) -> object:
        if self._how == "raises":
            raise RuntimeError("secret")
        if self._how == "exits":
            sys.exit(3)
        if self._how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        while self._how == "hangs":
            time.sleep(0.01)
        return object() if self._how == "odd" else value

    def decode(self, stored: object) -> object:
        return stored


@pytest.mark.parametrize("how", ["raises", "odd", "exits"])
def test_a_hostile_encoder_fails_its_task_and_leaves_the_worker(
    make_app: Maker, how: str
) -> None:
    app = make_app(workers=1)
    metadata = TaskMetadata(result_encoder=Hostile(how))
    hostile = app.task(name="hostile", metadata=metadata, max_retries=2)(jobs.pid)
    with app:
        before = app.enqueue("pid").result(timeout=10)
        failed = hostile.enqueue().wait(timeout=10)
        after = app.enqueue("pid").result(timeout=10)

    assert failed.status is not None
    assert failed.status.error is not None
    assert failed.status.error.type == (
        "SystemExit" if how == "exits" else "PayloadError"
    )
    assert failed.status.starts == 1
    assert "secret" not in failed.status.error.message
    assert before == after


def test_an_encoder_that_hangs_is_ended_by_the_hard_limit(make_app: Maker) -> None:
    app = make_app(workers=1)
    metadata = TaskMetadata(result_encoder=Hostile("hangs"))
    slow = app.task(name="slow", metadata=metadata, hard_time_limit=0.3)(jobs.pid)
    with app:
        result = slow.enqueue().wait(timeout=20)

    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == "HardTimeLimitExceeded"


class Slow(Base64PayloadEncoder):
    """Takes longer to decode than the soft limit allows; says when it is done."""

    id = "slow"

    def __init__(self, done: Path) -> None:
        self._done = done

    def decode(self, stored: object) -> object:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            time.sleep(0.01)
        self._done.touch()
        return super().decode(stored)


def test_a_soft_limit_waits_for_an_encoder_and_strikes_in_the_handler(
    make_app: Maker, tmp_path: Path
) -> None:
    done = tmp_path / "decoded"
    app = make_app(workers=1)
    metadata = TaskMetadata(args_encoder=Slow(done))
    soft = app.task(name="soft", metadata=metadata, soft_time_limit=0.1)(jobs.nap)
    with app:
        result = soft.enqueue(60).wait(timeout=20)

    assert done.exists()
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == "SoftTimeLimitExceeded"


def test_an_encoder_that_kills_its_worker_is_a_poison_like_any_other(
    make_app: Maker,
) -> None:
    app = make_app(workers=1)
    metadata = TaskMetadata(result_encoder=Hostile("dies"))
    poison = app.task(name="poison", metadata=metadata)(jobs.pid)
    with app:
        with pytest.raises(WorkerLost):
            poison.enqueue().result(timeout=30)

        assert app.enqueue("add", {"a": 1}).result(timeout=20) == 1


def test_an_encoder_that_fails_at_the_enqueue_lets_nothing_through(
    make_app: Maker,
) -> None:
    app = make_app(workers=1)
    metadata = TaskMetadata(args_encoder=Hostile("raises"))
    refused = app.task(name="refused", metadata=metadata)(jobs.add)
    with app:
        with pytest.raises(PayloadError, match="'hostile': RuntimeError"):
            refused.enqueue(1)

        assert app.stats()["live"] == 0
