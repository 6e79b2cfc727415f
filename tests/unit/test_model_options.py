"""Task options, enqueue options and retry policies: defaults and refusals."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import pytest

from stem_actor.model.enqueue_options import (
    EnqueueOptionsDict,
    TaskEnqueueOptions,
    TaskOptionsDict,
)
from stem_actor.model.options import InvalidOptions, TaskOptions
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.model.unset import UNSET

OTHER_VALUES: dict[str, object] = {
    "queue": "email",
    "max_retries": 4,
    "soft_time_limit": 15,
    "hard_time_limit": timedelta(seconds=30),
    "rate_limit": "5/s",
    "group_rate_limit": "9/m",
    "memory_limit": 1 << 30,
    "visibility_timeout": 0,
    "isolation": "fresh",
}


def test_the_defaults_are_the_documented_ones() -> None:
    assert dataclasses.asdict(TaskOptions()) == {
        "queue": "default",
        "max_retries": 0,
        "soft_time_limit": None,
        "hard_time_limit": None,
        "rate_limit": None,
        "group_rate_limit": None,
        "group_rate_key": None,
        "group_rate_key_header": "tenant",
        "group_rate_limiter_failure_mode": "fail_open",
        "unique": False,
        "unique_for": None,
        "priority": 0,
        "acks_late": True,
        "visibility_timeout": None,
        "retry_policy": None,
        "recovery_policy": "replay",
        "soft_limit": "raise",
        "max_crashes": 3,
        "max_extension": None,
        "memory_limit": None,
        "cpu_limit": None,
        "isolation": "worker",
        "ignore_result": False,
    }


@pytest.mark.parametrize(
    ("cls", "keywords"),
    [(TaskOptions, TaskOptionsDict), (TaskEnqueueOptions, EnqueueOptionsDict)],
)
def test_the_keyword_form_has_the_same_fields_and_types(
    cls: type, keywords: type
) -> None:
    assert get_type_hints(cls) == get_type_hints(keywords)


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_an_option_is_taken(name: str) -> None:
    options = TaskOptions(**{name: OTHER_VALUES[name]})  # type: ignore[arg-type]

    assert getattr(options, name) == OTHER_VALUES[name]


def test_limits_are_read_in_nanoseconds() -> None:
    options = TaskOptions(soft_time_limit=1.5, hard_time_limit=timedelta(seconds=2))

    assert options.soft_time_limit_ns == 1_500_000_000
    assert options.hard_time_limit_ns == 2_000_000_000
    assert options.cpu_limit_ns is None


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"soft_time_limit": 31, "hard_time_limit": 30}, "soft_time_limit (31) must"),
        ({"soft_time_limit": 0}, "soft_time_limit must be > 0"),
        ({"hard_time_limit": -1}, "hard_time_limit must be >= 0"),
        ({"hard_time_limit": "30"}, "hard_time_limit must be a timedelta or seconds"),
        ({"cpu_limit": 30_000_000_000}, "milliseconds by mistake"),
        ({"priority": 10}, "priority must be in 0..9"),
        ({"priority": True}, "priority must be an int"),
        ({"rate_limit": "5/sec"}, "rate_limit must be"),
        ({"rate_limit": 5}, "rate_limit must be"),
        ({"group_rate_limit": "0/s"}, "group_rate_limit must allow 1 to 4096"),
        ({"max_retries": -1}, "max_retries must be in 0.."),
        ({"max_retries": 2**31}, "max_retries must be in 0.."),
        ({"max_crashes": 0}, "max_crashes must be an int >= 1"),
        ({"memory_limit": 1.5}, "memory_limit must be an int >= 1"),
        ({"memory_limit": 10**30}, "memory_limit must be at most"),
        ({"max_crashes": 1 << 16}, "max_crashes must be at most 65,535"),
        ({"isolation": "thread"}, 'isolation must be "worker" or "fresh"'),
        ({"soft_limit": "kill"}, 'soft_limit must be "raise" or "event"'),
        ({"recovery_policy": ""}, 'recovery_policy must be "replay" or "retry"'),
        ({"group_rate_limiter_failure_mode": "x"}, '"fail_open" or "fail_closed"'),
        ({"queue": ""}, "queue must be a printable name"),
        ({"queue": "q" * 129}, "queue must be at most 128 bytes"),
        ({"unique": 1}, "unique must be True or False"),
        ({"retry_policy": {}}, "retry_policy must be a TaskRetryPolicy"),
        ({"group_rate_key": ""}, "group_rate_key must be a non-empty str"),
        ({"group_rate_key_header": None}, "group_rate_key_header must be"),
    ],
)
def test_an_impossible_option_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOptions) as caught:
        TaskOptions(**given)

    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidOptions) as caught:
        TaskOptions(priority=99, max_retries=-1, soft_time_limit=2, hard_time_limit=1)

    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"eta": datetime(2026, 1, 1)}, "eta needs a time zone"),
        ({"countdown": -1}, "countdown must be >= 0"),
        ({"time_limit": 0}, "time_limit must be > 0"),
        ({"enqueue_timeout": None}, "enqueue_timeout must be a timedelta or seconds"),
        ({"priority": -1}, "priority must be in 0..9"),
        ({"on_full": "drop"}, 'on_full must be "wait" or "raise"'),
        ({"task_id": 5}, "task_id must be a str"),
        ({"unique": "yes"}, "unique must be True or False"),
        ({"retry_policy": 3}, "retry_policy must be a TaskRetryPolicy"),
    ],
)
def test_an_impossible_enqueue_option_is_refused(
    given: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidOptions) as caught:
        TaskEnqueueOptions(**given)

    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


def test_an_eta_beats_a_countdown() -> None:
    eta = datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)
    options = TaskEnqueueOptions(eta=eta, countdown=3)

    assert options.not_before_ns(0) == 9_000_000_000
    assert TaskEnqueueOptions(countdown=3).not_before_ns(10) == 3_000_000_010
    assert TaskEnqueueOptions().not_before_ns(10) is None


def test_expires_and_deadline_are_instants_or_count_from_now() -> None:
    at = datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)
    options = TaskEnqueueOptions(expires=at, deadline=2.5)

    assert options.expires_ns(7) == 9_000_000_000
    assert options.deadline_ns(7) == 2_500_000_007


def test_unset_is_neither_none_nor_true() -> None:
    assert TaskEnqueueOptions().priority is UNSET
    assert not UNSET
    assert repr(UNSET) == "UNSET"


class GoneError(ConnectionError):
    """An error of the user's."""


def test_a_policy_survives_the_wire_with_its_classes_as_names() -> None:
    policy = TaskRetryPolicy(
        backoff=True,
        default_delay=timedelta(milliseconds=1),
        backoff_max=0.3,
        max_retries=5,
        auto_retry_for=(GoneError, "shop.Late"),
    )

    copy = TaskRetryPolicy.from_wire(policy.to_wire())

    assert copy.to_wire() == policy.to_wire()
    assert copy.auto_retry_for == (f"{__name__}.GoneError", "shop.Late")


@pytest.mark.parametrize(
    "given",
    [
        {"auto_retry_for": (5,)},
        {"auto_retry_for": "ValueError"},
        {"dont_auto_retry_for": (int,)},
        {"default_delay": -1},
        {"backoff": 2},
        {"max_retries": -1},
    ],
)
def test_an_impossible_policy_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        TaskRetryPolicy(**given)


@pytest.mark.parametrize(
    "change",
    [
        {"backoff": "yes"},
        {"defaultDelayNs": 1.5},
        {"autoRetryFor": 3},
        {"jitter": None},
    ],
)
def test_a_malformed_policy_is_a_value_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a retry policy"):
        TaskRetryPolicy.from_wire(TaskRetryPolicy().to_wire() | change)


def test_an_empty_map_is_no_policy() -> None:
    with pytest.raises(ValueError, match="not a retry policy"):
        TaskRetryPolicy.from_wire({})
