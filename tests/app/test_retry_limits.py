"""Limits that an attempt sets for the next ones."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from stem_actor import HardTimeLimitExceeded, StemApp, TaskContext
from tests.app.conftest import Maker


def shrink(context: TaskContext, path: str) -> float | None:
    """Ask for a hard limit of 0.4 s, then for another attempt, then stay too long."""
    with Path(path).open("a") as journal:
        journal.write(f"{context.attempt} {context.remaining()}\n")
    if context.attempt == 0:
        context.retry(countdown=0, time_limit=0.4)
    if context.attempt == 1:
        raise ValueError("the next attempt keeps the limit")
    time.sleep(30)
    return None


def soften(context: TaskContext) -> str:
    if context.attempt == 0:
        context.retry(countdown=0, soft_time_limit=0.2)
    time.sleep(30)
    return "never"


def crossed(context: TaskContext) -> None:
    context.retry(countdown=0, soft_time_limit=50)


def of_no_use(context: TaskContext, limit: float) -> None:
    context.retry(countdown=0, time_limit=limit)


def endures(context: TaskContext, path: str) -> float | None:
    """Set a limit, then kill its worker once: the replay has the limit too."""
    if context.attempt == 0:
        context.retry(countdown=0, time_limit=20)
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return context.remaining()


def add_handlers(app: StemApp) -> StemApp:
    app.task(max_retries=5, hard_time_limit=30, name="shrink")(shrink)
    app.task(max_retries=1, name="soften")(soften)
    app.task(max_retries=1, hard_time_limit=30, name="crossed")(crossed)
    app.task(max_retries=1, name="of_no_use")(of_no_use)
    app.task(max_retries=1, hard_time_limit=300, name="endures")(endures)
    return app


@pytest.fixture
def retrying(make_app: Maker) -> StemApp:
    return add_handlers(make_app())


def test_a_hard_limit_holds_for_the_next_attempt_and_for_all_after_it(
    retrying: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "journal"

    with retrying as app:
        handle = app.enqueue("shrink", {"path": str(path)}, options={"max_retries": 2})
        with pytest.raises(HardTimeLimitExceeded, match=r"limit of 0\.4 s"):
            handle.result(timeout=20)

    lefts = [line.split() for line in path.read_text().splitlines()]
    assert [int(attempt) for attempt, _ in lefts] == [0, 1, 2]
    first, second, third = (float(left) for _, left in lefts)
    assert first > 20
    assert second <= 0.4
    assert third <= 0.4


def test_a_soft_limit_that_was_not_there_is_set_for_the_next_attempt(
    retrying: StemApp,
) -> None:
    with retrying as app:
        result = app.enqueue("soften", {}).wait(timeout=20)

    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.message == "soft time limit of 0.2 s exceeded"


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("crossed", {}, "soft time limit of 50 s must not be above"),
        ("of_no_use", {"limit": 0}, "above 0 and at most three days"),
        ("of_no_use", {"limit": 400_000}, "above 0 and at most three days"),
    ],
)
def test_a_limit_that_cannot_hold_is_refused_where_it_is_named(
    retrying: StemApp, name: str, args: dict[str, float], words: str
) -> None:
    with retrying as app:
        result = app.enqueue(name, args, options={"max_retries": 0}).wait(timeout=20)

    assert result.status is not None
    assert result.status.error is not None
    assert words in result.status.error.message


def test_a_limit_survives_the_death_of_its_worker(
    make_app: Maker, tmp_path: Path
) -> None:
    with add_handlers(make_app()) as app:
        handle = app.enqueue("endures", {"path": str(tmp_path / "died")})
        left = handle.result(timeout=30)

    assert isinstance(left, float)
    assert left <= 20
