"""Shields: what is in one is whole, but for the hard limit."""

from __future__ import annotations

import time

import pytest

from stem_actor import StemApp
from tests.limits import jobs_interrupted
from tests.limits.conftest import LATE_S, ended, verdict_of
from tests.limits.journal import Journal

JOBS = (jobs_interrupted,)
SETTINGS = {"concurrency": 4}


def test_a_limit_strikes_as_the_shield_is_left(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "at_most": 10, "seconds": 0.6}

    result = ended(limits_app.enqueue("commit", args))

    verdict = verdict_of(result)
    assert journal.words == ["begin", "up", "still soft", "clean-up"]
    assert verdict.reason == "soft"
    assert verdict.wall_s is not None
    assert 0.6 <= verdict.wall_s < 0.6 + LATE_S
    assert "in commit\n" in (verdict.soft_stack or "")


def test_a_shield_holds_no_longer_than_it_was_asked_to(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "at_most": 0.6, "seconds": 60}

    result = ended(limits_app.enqueue("commit", args))

    verdict = verdict_of(result)
    assert journal.words == ["begin", "up", "clean-up"]
    assert verdict.reason == "soft"
    assert verdict.wall_s is not None
    assert 0.6 <= verdict.wall_s < 0.6 + LATE_S


def test_an_inner_shield_strikes_not_before_the_outer_is_left(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("commit_deep", {"path": journal.path}))

    assert verdict_of(result).reason == "soft"
    assert journal.words == ["begin", "inner", "between", "outer", "clean-up"]


def test_an_inner_shield_cannot_make_the_outer_last_longer(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("commit_short", {"path": journal.path}))

    verdict = verdict_of(result)
    assert verdict.reason == "soft"
    assert verdict.wall_s is not None
    assert 0.5 <= verdict.wall_s < 0.5 + LATE_S
    assert journal.words == ["begin", "clean-up"]


@pytest.mark.parametrize("name", ["commit_in_thread", "acommit_in_thread"])
def test_a_shield_of_a_helper_thread_hands_the_limit_to_the_main_one(
    limits_app: StemApp, journal: Journal, name: str
) -> None:
    result = ended(limits_app.enqueue(name, {"path": journal.path}))

    verdict = verdict_of(result)
    assert verdict.reason == "soft"
    assert verdict.wall_s is not None
    assert 0.6 <= verdict.wall_s < 0.6 + LATE_S
    assert journal.words == ["begin", "left", "clean-up"]


def test_an_error_in_the_shield_stays_the_context_of_the_interruption(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("commit_and_fail", {"path": journal.path}))

    assert verdict_of(result).reason == "soft"
    assert journal.words == [
        "begin",
        "SoftTimeLimitExceeded from ValueError",
        "clean-up",
    ]


def test_a_shield_that_was_left_before_the_limit_holds_nothing_back(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("commit_in_time", {"path": journal.path}))

    verdict = verdict_of(result)
    assert verdict.reason == "soft"
    assert verdict.wall_s is not None
    assert 0.3 <= verdict.wall_s < 0.3 + LATE_S
    assert journal.words == ["up", "begin", "clean-up"]


def test_a_coroutine_is_cancelled_at_its_first_await_after_the_shield(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("acommit", {"path": journal.path}))

    assert verdict_of(result).reason == "soft"
    assert journal.words == ["begin", "still soft", "left", "clean-up"]


@pytest.mark.case(13)
def test_the_hard_limit_is_never_held_back(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "at_most": 60, "seconds": 60}
    began = time.monotonic()

    result = ended(limits_app.enqueue("commit_for_ever", args))

    assert 0.9 <= time.monotonic() - began < 0.9 + LATE_S
    verdict = verdict_of(result)
    assert (verdict.reason, verdict.signal) == ("hard", 9)
    assert verdict.soft_exceeded
    assert "in commit\n" in (verdict.soft_stack or "")
    assert journal.words == ["begin", "up"]
