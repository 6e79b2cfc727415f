"""A revoke with ``terminate`` ends a task in whatever phase it is, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from stem_actor import StemApp, TaskHandle, TaskResult
from stem_actor.errors import TaskCancelledError
from stem_actor.model.verdict import Verdict
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy
from tests.limits import jobs_interrupted
from tests.limits.conftest import LATE_S, Maker, ended, eventually, state_in
from tests.limits.journal import Journal

JOBS = (jobs_interrupted,)
SETTINGS = {"concurrency": 4}
REASON = "the customer has left"


def is_revoked(handle: TaskHandle[object]) -> TaskResult[object]:
    """Assert that the task was cancelled for ``REASON``; return its result."""
    result = ended(handle)
    assert result.is_cancelled, result
    assert result.status is not None
    assert result.status.meta["reason"] == REASON
    with pytest.raises(TaskCancelledError, match=REASON):
        handle.result(timeout=0)
    return result


def has_begun(journal: Journal) -> bool:
    """Return whether the handler of *journal* begins to run."""
    return eventually(lambda: journal.words == ["begin 0"])


def verdict_in(result: TaskResult[object]) -> Verdict:
    assert result.status is not None
    assert result.status.verdict is not None
    return result.status.verdict


@pytest.mark.case(52)
def test_a_queued_task_is_revoked_and_never_started(
    make_limits_app: Maker, journal: Journal, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with make_limits_app(workers=1) as app:
        first = app.enqueue("wait_for", {"path": str(gate)})
        handle = app.enqueue("nap", {"path": journal.path})

        assert handle.revoke(terminate=True, reason=REASON)

        result = is_revoked(handle)
        gate.touch()
        assert ended(first).is_succeeded
        assert ended(app.enqueue("pid")).is_succeeded  # whatever was offered is gone
    assert journal.words == []
    assert result.status is not None
    assert (result.status.starts, result.status.verdict) == (0, None)


@pytest.mark.case(52)
def test_a_delayed_task_is_revoked_and_never_started(
    limits_app: StemApp, journal: Journal
) -> None:
    handle = limits_app.enqueue("nap", {"path": journal.path}, not_before=60)

    assert handle.revoke(terminate=True, reason=REASON)

    result = is_revoked(handle)
    assert journal.words == []
    assert result.status is not None
    assert result.status.starts == 0


@pytest.mark.case(52)
@pytest.mark.parametrize(
    ("name", "word"),
    [("nap", "TaskRevoked revoked"), ("anap", "CancelledError revoked")],
    ids=["plain", "async"],
)
def test_a_running_task_is_interrupted_as_by_a_soft_limit(
    limits_app: StemApp, journal: Journal, name: str, word: str
) -> None:
    handle = limits_app.enqueue(name, {"path": journal.path})
    assert eventually(lambda: journal.words == ["begin 0"])

    assert handle.revoke(terminate=True, reason=REASON)

    verdict = verdict_in(is_revoked(handle))
    assert journal.words == ["begin 0", word, "clean-up"]
    assert (verdict.reason, verdict.signal) == ("revoked", None)  # it was not killed
    assert eventually(lambda: not Path(f"/proc/{verdict.pid}").exists())


@pytest.mark.case(52)
def test_the_reason_is_kept_though_the_worker_is_gone_before_its_report_is_read(
    limits_app: StemApp, tmp_path: Path
) -> None:
    # A supervisor that is busy naps, and reads reports when it wakes; a death wakes it.
    others: list[TaskHandle[object]] = []
    for number in range(30):
        journal = Journal(tmp_path / str(number))
        handle = limits_app.enqueue("nap", {"path": journal.path})
        assert has_begun(journal)
        others += [limits_app.enqueue("pid") for _ in range(200)]

        assert handle.revoke(terminate=True, reason=REASON)

        assert verdict_in(is_revoked(handle)).signal is None
    assert all(ended(it).is_succeeded for it in others)


@pytest.mark.case(52)
def test_a_running_task_is_left_alone_without_terminate(
    limits_app: StemApp, journal: Journal
) -> None:
    handle = limits_app.enqueue("nap", {"path": journal.path, "seconds": 0.3})
    assert eventually(lambda: journal.words == ["begin 0"])

    assert not handle.revoke(reason=REASON)

    assert ended(handle).value == "rested"


@pytest.mark.case(52)
def test_a_shield_holds_a_revoke_back_until_it_is_left(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "at_most": 10, "seconds": 0.4}
    handle = limits_app.enqueue("commit_free", args)
    assert eventually(lambda: journal.words == ["begin", "up"])

    assert handle.revoke(terminate=True, reason=REASON)

    verdict = verdict_in(is_revoked(handle))
    assert journal.words == ["begin", "up", "still revoked", "clean-up"]
    assert verdict.reason == "revoked"


@pytest.mark.case(52)
def test_a_shield_does_not_hold_a_revoke_back_for_longer_than_its_grace(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "at_most": 60, "seconds": 60}
    handle = limits_app.enqueue("commit_free", args)
    assert eventually(lambda: journal.words == ["begin", "up"])

    assert handle.revoke(terminate=True, reason=REASON)

    verdict = verdict_in(is_revoked(handle))
    assert (verdict.reason, verdict.signal) == ("revoked", 9)
    assert verdict.wall_s is not None
    assert verdict.wall_s < 1.0 + LATE_S + LATE_S
    assert journal.words == ["begin", "up"]


@pytest.mark.case(52)
def test_a_task_that_waits_for_its_retry_is_revoked_and_not_run_again(
    make_limits_app: Maker, journal: Journal
) -> None:
    slow = ExponentialJitterRetryStrategy(base=60, max=60)
    with make_limits_app(retry_strategy=slow) as app:
        handle = app.enqueue("fail", {"path": journal.path})
        assert eventually(lambda: state_in(handle.status()) == "retried")

        assert handle.revoke(terminate=True, reason=REASON)

        result = is_revoked(handle)
    assert journal.words == ["failed"]
    assert result.status is not None
    assert result.status.starts == 1


@pytest.mark.case(52)
def test_a_task_that_has_ended_cannot_be_revoked(
    limits_app: StemApp, journal: Journal
) -> None:
    handle = limits_app.enqueue("nap", {"path": journal.path, "seconds": 0})
    ended(handle)

    assert not handle.revoke(terminate=True, reason=REASON)

    assert ended(handle).value == "rested"


def test_a_revoke_comes_through_to_a_task_that_is_past_its_soft_limit(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "seconds": 60}
    handle = limits_app.enqueue("clean_up", args)
    assert eventually(lambda: journal.words == ["begin", "cleaning"])

    assert handle.revoke(terminate=True, reason=REASON)

    verdict = verdict_in(is_revoked(handle))
    assert (verdict.reason, verdict.signal) == ("revoked", None)
    assert verdict.soft_exceeded
    assert "in clean_up\n" in (verdict.soft_stack or "")
    assert journal.words == ["begin", "cleaning"]


def test_a_task_that_revokes_itself_is_cancelled_and_not_retried(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("revoke_itself", {"path": journal.path}))

    assert result.is_cancelled
    assert result.status is not None
    assert result.status.meta["detail"] == "by its own wish"
    assert verdict_in(result).reason == "revoked"
    assert journal.words == ["begin", "clean-up"]
