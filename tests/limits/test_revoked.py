"""A revoke that was granted stands, whatever the task or its processes do then."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from stem_actor import StemApp, TaskHandle, TaskResult
from stem_actor.model.verdict import Verdict
from tests.limits import jobs_revoked
from tests.limits.conftest import Maker, ended, eventually
from tests.limits.footing import supervisor_of
from tests.limits.journal import Journal

JOBS = (jobs_revoked,)
SETTINGS = {"concurrency": 4}
REASON = "the customer has left"


def verdict_of(result: TaskResult[object]) -> Verdict:
    """Assert that the task was cancelled for ``REASON``, at its only start."""
    status = result.status
    assert result.is_cancelled, result
    assert status is not None
    assert (status.meta["reason"], status.starts, status.attempt) == (REASON, 1, 0)
    assert status.verdict is not None
    assert status.verdict.reason == "revoked"
    return status.verdict


def revoked(app: StemApp, name: str, journal: Journal) -> TaskHandle[object]:
    """Have the task *name* begin, and revoke it."""
    handle = app.enqueue(name, {"path": journal.path})
    assert eventually(lambda: journal.words == ["begin 0"])
    assert handle.revoke(terminate=True, reason=REASON)
    return handle


@pytest.mark.case(52)
@pytest.mark.parametrize("name", ["turn", "aturn", "retry"])
def test_a_handler_that_makes_another_error_of_it_is_not_retried(
    limits_app: StemApp, journal: Journal, name: str
) -> None:
    handle = revoked(limits_app, name, journal)

    result = ended(handle)

    verdict = verdict_of(result)
    assert (verdict.signal, verdict.exit_status) == (None, None)
    assert verdict.wall_s is not None
    detail = result.status.meta.get("detail") if result.status else None
    assert detail == (
        "RetryRequested: explicit retry requested"
        if name == "retry"
        else "ValueError: the roll-back has failed"
    )
    assert journal.words == ["begin 0"]


@pytest.mark.case(52)
def test_a_crash_in_the_clean_up_is_its_end_and_not_replayed(
    limits_app: StemApp, journal: Journal
) -> None:
    verdict = verdict_of(ended(revoked(limits_app, "crash", journal)))

    assert verdict.exit_status == 3
    assert journal.words == ["begin 0"]


@pytest.mark.case(52)
def test_its_hard_limit_within_the_grace_is_no_further_attempt(
    limits_app: StemApp, journal: Journal
) -> None:
    verdict = verdict_of(ended(revoked(limits_app, "stay_limited", journal)))

    assert verdict.signal == 9
    assert verdict.late_s is not None
    assert journal.words == ["begin 0", "TaskRevoked"]


def kill_supervisor(app: StemApp) -> None:
    os.kill(supervisor_of(app), signal.SIGKILL)


def kill_workers(app: StemApp) -> None:
    for pid in [it.pid for it in app.workers() if it.pid > 0]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.case(52)
@pytest.mark.parametrize("kill", [kill_supervisor, kill_workers])
def test_it_stands_though_the_process_that_granted_it_or_runs_it_is_killed(
    make_limits_app: Maker, journal: Journal, kill: Callable[[StemApp], None]
) -> None:
    with make_limits_app() as app:
        handle = revoked(app, "stay", journal)

        kill(app)

        verdict_of(ended(handle))
        assert ended(app.enqueue("pid")).is_succeeded
    assert journal.words in (["begin 0"], ["begin 0", "TaskRevoked"])


@pytest.mark.case(52)
def test_a_soft_limit_that_passes_before_it_is_heard_does_not_replace_it(
    limits_app: StemApp, journal: Journal
) -> None:
    verdict = verdict_of(ended(revoked(limits_app, "leave_python", journal)))

    assert journal.words == ["begin 0", "TaskRevoked revoked"]
    assert verdict.soft_exceeded
    assert verdict.signal is None


@pytest.mark.case(52)
def test_a_handler_that_returns_within_the_grace_keeps_its_success(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(revoked(limits_app, "finish", journal))

    assert result.value == "a part"
    assert journal.words == ["begin 0", "TaskRevoked"]


@pytest.mark.case(52)
def test_it_can_be_asked_for_again_and_the_first_reason_stands(
    limits_app: StemApp, journal: Journal
) -> None:
    handle = revoked(limits_app, "stay", journal)

    assert handle.revoke(terminate=True, reason="another")
    assert handle.revoke(reason="a third")

    assert handle.status() is not None
    verdict_of(ended(handle))


@pytest.mark.case(52)
@pytest.mark.timeout(120)
def test_at_a_limit_a_task_whose_revoke_was_granted_is_cancelled_or_has_returned(
    make_limits_app: Maker,
) -> None:
    dice = random.Random(52)
    told: Counter[tuple[bool, str]] = Counter()

    with make_limits_app() as app:
        for _ in range(50):
            spans = [dice.uniform(0.02, 0.07) for _ in range(8)]
            handles = [app.enqueue("edge", {"seconds": it}) for it in spans]
            time.sleep(dice.uniform(0.01, 0.06))  # the case: any instant
            granted = [handle.revoke(terminate=True) for handle in handles]
            for handle, is_granted in zip(handles, granted, strict=True):
                status = ended(handle).status
                assert status is not None
                told[is_granted, str(status.state)] += 1

    assert told[True, "failed"] == 0, told
    assert told[True, "cancelled"] > 100, told
