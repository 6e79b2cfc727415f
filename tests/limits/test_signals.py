"""A death by a signal of ours is that limit, and strikes whom it means."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from stem_actor import StemApp, TaskFailed, WorkerDied, WorkerStopped
from tests.limits import jobs_signals
from tests.limits.conftest import LATE_S, Maker, ended, eventually, verdict_of
from tests.limits.journal import Journal

JOBS = (jobs_signals,)


@pytest.mark.parametrize(
    ("name", "type_name", "reason"),
    [
        ("become", "SoftTimeLimitExceeded", "soft"),
        ("reset_signals", "SoftTimeLimitExceeded", "soft"),
        ("become_deaf", "HardTimeLimitExceeded", "hard"),
        ("forget_words", "HardTimeLimitExceeded", "hard"),
        ("burn", "HardTimeLimitExceeded", "cpu"),
    ],
)
def test_a_task_that_dies_of_the_signal_of_its_limit_has_run_into_it_and_not_crashed(
    limits_app: StemApp, journal: Journal, name: str, type_name: str, reason: str
) -> None:
    result = ended(limits_app.enqueue(name, {"path": journal.path}))

    verdict = verdict_of(result)
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == type_name
    assert (verdict.reason, verdict.soft_exceeded) == (reason, name != "burn")
    assert verdict.signal is not None
    assert result.status.starts == 1
    assert journal.words == ["begin 0"]
    assert ended(limits_app.enqueue("pid")).is_succeeded


def test_coroutines_of_one_worker_that_run_into_their_limits_end_together(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=1, concurrency=8) as app:
        began = time.monotonic()
        handles = [app.enqueue("hang", {"path": journal.path}) for _ in range(8)]
        results = [ended(handle) for handle in handles]
        took_s = time.monotonic() - began

    # One that began later than the others may be collateral, and run again. Where each
    # kill ended one alone there were 8 rounds, and 20 starts and more.
    starts = [it.status.starts for it in results if it.status is not None]
    assert {verdict_of(it).reason for it in results} == {"hard"}
    assert sum(starts) < 20, starts
    assert took_s < 6 * 0.6, starts
    lates = [verdict_of(it).late_s for it in results]
    assert all(late is not None and 0 <= late < LATE_S for late in lates), lates


def test_the_neighbours_of_a_start_that_ends_before_its_kill_are_not_killed(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=1, concurrency=2) as app:
        told: Counter[bool] = Counter()
        for _ in range(10):
            words = len(journal.words)
            other = app.enqueue("nap", {"path": journal.path, "seconds": 0.6})
            assert eventually(lambda: len(journal.words) > words)  # noqa: B023
            result = ended(app.enqueue("aoverrun", {"path": journal.path}))
            told[result.is_succeeded] += 1

            neighbour = ended(other)
            assert neighbour.status is not None
            if result.is_succeeded:
                assert neighbour.status.starts == 1
            else:
                assert verdict_of(result).reason == "hard"

    assert told[True] > 3, told


def test_a_worker_that_was_asked_for_its_last_words_takes_no_other_task(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=1) as app:
        told: Counter[bool] = Counter()
        for _ in range(8):
            first = app.enqueue("overrun", {"path": journal.path})
            then = app.enqueue("leave")
            result = ended(first)
            told[result.is_succeeded] += 1

            verdict = verdict_of(ended(then))

            assert (verdict.reason, verdict.exit_status) == ("crashed", 9)
            assert "in overrun" not in (verdict.stack or "")
            if result.is_succeeded:
                assert verdict.pid != result.value

    assert told[True] > 2, told


def test_a_worker_that_exits_with_0_in_the_middle_of_a_task_has_not_left_in_peace(
    make_limits_app: Maker,
) -> None:
    told: list[tuple[type, int | None]] = []
    kinds = [WorkerDied, WorkerStopped, TaskFailed]
    with make_limits_app() as app, app.events(types=kinds) as stream:
        verdict = verdict_of(ended(app.enqueue("leave_in_peace")))
        for event in stream:
            if isinstance(event, TaskFailed):
                break
            status = event.exit_status if isinstance(event, WorkerDied) else None
            told.append((type(event), status))

    assert (verdict.reason, verdict.exit_status) == ("crashed", 0)
    assert told == [(WorkerDied, 0)]
