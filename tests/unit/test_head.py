"""Heads: options as the supervisor reads them, and policies read back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from stem_actor import (
    PayloadError,
    PayloadTooLarge,
    TaskRetryPolicy,
)
from stem_actor.clock import VirtualClock
from stem_actor.engine.head import build_head, meters_of
from stem_actor.engine.publish import policy_of
from stem_actor.model.error import TaskError
from stem_actor.model.options import TaskOptions
from stem_actor.payload.wire import pack_value
from stem_actor.policy.retry import matches, policy_delay_ns
from stem_actor.ring.record import (
    ACKS_EARLY,
    BACKOFF,
    CPU,
    IGNORE_RESULT,
    JITTER,
    MEMORY,
    POLICY,
    RECOVERY_RETRY,
    SOFT_EVENT,
    TaskHead,
    unpack_record,
)

NOW_NS = VirtualClock().wall_ns()
SECOND = 10**9
NO_TEXT: Any = {"h": 1}


def test_each_option_that_the_supervisor_needs_has_its_flag() -> None:
    options = TaskOptions(
        acks_late=False, ignore_result=True, recovery_policy="retry", soft_limit="event"
    )

    flags = build_head("t", options).flags

    assert flags == ACKS_EARLY | IGNORE_RESULT | RECOVERY_RETRY | SOFT_EVENT


@pytest.mark.parametrize(
    "policy",
    [
        TaskRetryPolicy(),
        TaskRetryPolicy(default_delay=1.5, jitter=False),
        TaskRetryPolicy(backoff=True, default_delay=2, backoff_max=60),
        TaskRetryPolicy(backoff=True, default_delay=2),
        TaskRetryPolicy(backoff=True, default_delay=2, backoff_max=0),
        TaskRetryPolicy(auto_retry_for=(OSError,), dont_auto_retry_for=("Gone",)),
    ],
)
def test_a_policy_read_back_from_the_head_decides_as_the_one_published(
    policy: TaskRetryPolicy,
) -> None:
    packed = build_head("t", TaskOptions(retry_policy=policy)).pack()

    read = policy_of(unpack_record(packed).head)

    assert read is not None
    for attempt in range(8):
        published = policy_delay_ns(policy, attempt=attempt, task_id=b"i")
        assert policy_delay_ns(read, attempt=attempt, task_id=b"i") == published
    error = TaskError.from_exception(ConnectionError())
    for names in ("auto_retry_names", "dont_auto_retry_names"):
        assert getattr(read, names) == getattr(policy, names)
        assert matches(error, getattr(read, names)) == matches(
            error, getattr(policy, names)
        )


def test_without_a_policy_there_is_none_to_read() -> None:
    assert policy_of(build_head("t", TaskOptions())) is None


def test_filters_that_do_not_fit_the_head_are_refused_by_name() -> None:
    names = tuple(f"shop.errors.Error{number:04}" for number in range(40))
    policy = TaskRetryPolicy(auto_retry_for=names)

    with pytest.raises(PayloadTooLarge, match="filters of t's retry policy"):
        build_head("t", TaskOptions(retry_policy=policy))


@pytest.mark.parametrize(
    "options",
    [
        b"\xc1",
        b"\x93\x01\x02\x03",
        pack_value({"retry": 5}),
        pack_value({"never": [7]}),
    ],
)
def test_a_policy_that_makes_no_sense_is_a_payload_error(options: bytes) -> None:
    with pytest.raises(PayloadError):
        policy_of(TaskHead(name="t", flags=POLICY, options=options))


def test_any_numbers_of_a_policy_are_read_or_are_a_payload_error() -> None:
    for flags in (POLICY, POLICY | BACKOFF, POLICY | BACKOFF | JITTER):
        for number in (1, 2**63, 2**64 - 1):
            head = TaskHead(
                name="t", flags=flags, retry_base_ns=number, retry_max_ns=number
            )
            with contextlib.suppress(PayloadError):
                assert policy_of(head) is not None


@pytest.mark.parametrize("value", ["much", True, -1, 1.5, [1]])
def test_a_limit_that_is_no_number_is_a_payload_error(value: object) -> None:
    options = pack_value({"memory": value, "cpu": value})

    with pytest.raises(PayloadError, match="memory"):
        meters_of(TaskHead(name="t", meters=MEMORY | CPU, options=options))
