"""The merge of options: enqueue > call > definition > defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from stem_actor.model.enqueue_options import TaskEnqueueOptions, TaskOptionsDict
from stem_actor.model.options import TaskOptions
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.model.unset import UNSET

__all__ = ["merge_options", "spoken_options"]

_OVERRIDES = {
    # field of TaskEnqueueOptions → field of TaskOptions
    "queue": "queue",
    "priority": "priority",
    "time_limit": "hard_time_limit",
    "soft_time_limit": "soft_time_limit",
    "ignore_result": "ignore_result",
    "retry_policy": "retry_policy",
    "unique": "unique",
    "unique_for": "unique_for",
}


def merge_options(
    definition: TaskOptions,
    *,
    call: TaskOptions | TaskOptionsDict | None = None,
    enqueue: TaskEnqueueOptions | None = None,
) -> TaskOptions:
    """
    Return the options in force for one enqueue.

    ``max_retries`` of the answer is the envelope's number: that of the enqueue's
    policy, else of the call's or definition's policy, else of their options.

    Args:
        definition: What the task says; holds the defaults where it says nothing.
        call: What the call says. As keywords, each key counts, also one that sets
            a default back. As ``TaskOptions``, only the fields that differ from the
            defaults count: nobody can see which of the others were written down.
        enqueue: What the enqueue says; UNSET says nothing.

    Raises:
        InvalidOptions: If the merged options contradict each other.
    """
    spoken: dict[str, object] = {}
    if isinstance(call, TaskOptions):
        spoken.update(spoken_options(call))
    elif call is not None:
        spoken.update(call)
    policy = spoken.get("retry_policy", UNSET)
    policies = [definition.retry_policy if policy is UNSET else policy]
    if enqueue is not None:
        for name, target in _OVERRIDES.items():
            value = getattr(enqueue, name)
            if value is not UNSET:
                spoken[target] = value
        policies.insert(0, enqueue.retry_policy)
    for candidate in policies:
        if isinstance(candidate, TaskRetryPolicy) and candidate.max_retries is not None:
            spoken["max_retries"] = candidate.max_retries
            break
    changes = {name: value for name, value in spoken.items() if value is not UNSET}
    return _changed(definition, changes) if changes else definition


def spoken_options(options: TaskOptions) -> Mapping[str, object]:
    """Return the fields of *options* that differ from their defaults."""
    return {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if getattr(options, field.name) != field.default
    }


def _changed(definition: TaskOptions, changes: Mapping[str, object]) -> TaskOptions:
    return replace(definition, **changes)  # type: ignore[arg-type]
