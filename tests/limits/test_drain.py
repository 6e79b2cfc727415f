"""A stop interrupts what still runs at its deadline, and nothing is lost by that."""

from __future__ import annotations

from pathlib import Path

import pytest

from stem_actor import StemApp, TaskHandle
from tests.limits import jobs_interrupted
from tests.limits.conftest import Maker, ended, eventually, state_in, verdict_of
from tests.limits.journal import Journal

JOBS = (jobs_interrupted,)
INTERRUPTED = ["begin 0", "SoftTimeLimitExceeded drain", "clean-up"]


def begun(app: StemApp, journal: Journal, name: str = "nap") -> TaskHandle[object]:
    """Enqueue *name*, and return once it runs."""
    handle = app.enqueue(name, {"path": journal.path})
    assert eventually(lambda: journal.words == ["begin 0"])
    return handle


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("nap", "SoftTimeLimitExceeded drain"),
        ("anap", "CancelledError drain"),
    ],
    ids=["plain", "async"],
)
def test_an_anonymous_ring_cancels_a_task_that_its_stop_has_interrupted(
    make_limits_app: Maker, journal: Journal, name: str, word: str
) -> None:
    app = make_limits_app(concurrency=4).start()
    handle = begun(app, journal, name)

    report = app.stop(0.1)

    assert journal.words == ["begin 0", word, "clean-up"]
    assert (report.cancelled, report.unstarted) == (1, 0)
    result = ended(handle, 0)
    assert result.is_cancelled
    assert result.status is not None
    assert result.status.meta["reason"] == "stopped"


@pytest.mark.parametrize("name", ["nap", "anap"], ids=["plain", "async"])
def test_a_named_ring_runs_a_task_again_that_its_stop_has_interrupted(
    make_limits_app: Maker, journal: Journal, tmp_path: Path, name: str
) -> None:
    broker = f"ring://{tmp_path / 'ring'}"
    app = make_limits_app(broker=broker, concurrency=4).start()
    handle = begun(app, journal, name)
    report = app.stop(0.1)

    with make_limits_app(broker=broker, concurrency=4) as again:
        assert eventually(lambda: journal.words[-1] == "begin 0")
        assert again.revoke(handle.id, terminate=True, reason="enough")
        assert eventually(lambda: state_in(again.status(handle.id)) == "cancelled")
        status = again.status(handle.id)

    assert (report.handed_back, report.cancelled) == (1, 0)
    assert status is not None
    # A start more; neither an attempt nor a crash.
    assert (status.attempt, status.starts, status.meta["crashes"]) == (0, 2, 0)
    assert [word.split()[0] for word in journal.words] == [
        "begin", "SoftTimeLimitExceeded" if name == "nap" else "CancelledError",
        "clean-up",
        "begin", "TaskRevoked" if name == "nap" else "CancelledError",
        "clean-up",
    ]  # fmt: skip


def test_a_task_that_is_run_once_at_most_fails_at_a_stop_as_lost_with_its_worker(
    make_limits_app: Maker, journal: Journal
) -> None:
    app = make_limits_app().start()
    handle = begun(app, journal, "nap_once")

    app.stop(0.1)

    assert journal.words == INTERRUPTED
    result = ended(handle, 0)
    assert result.is_failed
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.meta["reason"] == "worker-lost"
    assert verdict_of(result).reason == "collateral"


def test_a_task_that_ignores_the_stop_is_killed_a_second_later_and_runs_again(
    make_limits_app: Maker, journal: Journal, tmp_path: Path
) -> None:
    broker = f"ring://{tmp_path / 'ring'}"
    app = make_limits_app(broker=broker).start()
    handle = app.enqueue("stay", {"path": journal.path})
    assert eventually(lambda: journal.words == ["begin"])

    report = app.stop(0.1)

    assert journal.words == ["begin", "SoftTimeLimitExceeded drain"]
    assert report.duration >= 1.1
    with make_limits_app(broker=broker) as again:
        assert eventually(lambda: journal.words[-1] == "begin")
        status = again.status(handle.id)
        assert status is not None
        assert (status.attempt, status.meta["crashes"]) == (0, 0)
        again.revoke(handle.id, terminate=True)
        assert eventually(lambda: state_in(again.status(handle.id)) == "cancelled")


def test_a_task_that_is_cleaning_up_after_its_limit_is_not_struck_by_the_stop(
    make_limits_app: Maker, journal: Journal
) -> None:
    app = make_limits_app().start()
    handle = app.enqueue("clean_up", {"path": journal.path, "seconds": 0.6})
    assert eventually(lambda: journal.words == ["begin", "cleaning"])

    app.stop(0.1)

    assert journal.words == ["begin", "cleaning", "cleaned soft"]
    assert verdict_of(ended(handle, 0)).reason == "soft"
