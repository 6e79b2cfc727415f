"""The merge of options: enqueue > call > definition > defaults."""

from __future__ import annotations

import pytest

from stem_actor.model.enqueue_options import (
    EnqueueOptionsDict,
    TaskEnqueueOptions,
    TaskOptionsDict,
)
from stem_actor.model.options import InvalidOptions, TaskOptions
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.policy.merge import merge_options

DEFINITION = TaskOptions(
    queue="email", priority=5, hard_time_limit=30, unique=True, max_retries=1
)


def test_a_definition_alone_is_taken_as_it_is() -> None:
    merged = merge_options(DEFINITION, call={}, enqueue=TaskEnqueueOptions())

    assert merged is DEFINITION


@pytest.mark.parametrize(
    ("call", "enqueue", "field", "expected"),
    [
        ({}, {}, "queue", "email"),
        ({"queue": "sms"}, {}, "queue", "sms"),
        ({"queue": "sms"}, {"queue": "fax"}, "queue", "fax"),
        ({"queue": "default"}, {}, "queue", "default"),
        ({"priority": 0}, {}, "priority", 0),
        ({"priority": 7}, {"priority": 0}, "priority", 0),
        ({"hard_time_limit": None}, {}, "hard_time_limit", None),
        ({}, {"time_limit": None}, "hard_time_limit", None),
        ({}, {"time_limit": 60}, "hard_time_limit", 60),
        ({}, {"soft_time_limit": 3}, "soft_time_limit", 3),
        ({}, {"unique": False}, "unique", False),
        ({}, {"unique_for": 9}, "unique_for", 9),
        ({}, {"ignore_result": True}, "ignore_result", True),
        ({"ignore_result": True}, {"ignore_result": False}, "ignore_result", False),
        ({"max_retries": 0}, {}, "max_retries", 0),
    ],
)
def test_the_nearest_word_counts_also_where_it_is_a_default(
    call: TaskOptionsDict, enqueue: EnqueueOptionsDict, field: str, expected: object
) -> None:
    merged = merge_options(DEFINITION, call=call, enqueue=TaskEnqueueOptions(**enqueue))

    assert getattr(merged, field) == expected


def test_call_options_as_an_object_speak_where_they_differ_from_defaults() -> None:
    merged = merge_options(DEFINITION, call=TaskOptions(queue="sms", priority=0))

    assert (merged.queue, merged.priority) == ("sms", 5)


@pytest.mark.parametrize(
    ("definition", "call", "enqueue", "expected"),
    [
        (None, None, None, 1),
        (2, None, None, 2),
        (2, 3, None, 3),
        (2, 3, 4, 4),
        (2, None, 4, 4),
        (None, None, 0, 0),
    ],
)
def test_the_nearest_policy_with_a_number_gives_the_number_of_retries(
    definition: int | None, call: int | None, enqueue: int | None, expected: int
) -> None:
    task = TaskOptions(
        max_retries=1, retry_policy=TaskRetryPolicy(max_retries=definition)
    )
    of_call = TaskOptionsDict()
    if call is not None:
        of_call["retry_policy"] = TaskRetryPolicy(max_retries=call)
    of_enqueue = TaskEnqueueOptions(retry_policy=TaskRetryPolicy(max_retries=enqueue))

    merged = merge_options(task, call=of_call, enqueue=of_enqueue)

    assert merged.max_retries == expected
    assert merged.retry_policy == of_enqueue.retry_policy


def test_an_enqueue_can_take_the_policy_away() -> None:
    task = TaskOptions(retry_policy=TaskRetryPolicy(default_delay=5))

    merged = merge_options(task, enqueue=TaskEnqueueOptions(retry_policy=None))

    assert merged.retry_policy is None


def test_a_contradiction_after_the_merge_is_refused() -> None:
    task = TaskOptions(soft_time_limit=15, hard_time_limit=30)

    with pytest.raises(InvalidOptions, match="soft_time_limit"):
        merge_options(task, enqueue=TaskEnqueueOptions(time_limit=10))
