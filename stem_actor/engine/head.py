"""The head of a task: options as the supervisor reads them, and policies read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from stem_actor.errors import PayloadTooLarge, SettingsError
from stem_actor.model.duration import from_ns
from stem_actor.model.enqueue_options import TaskEnqueueOptions
from stem_actor.model.options import TaskOptions
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.payload.wire import pack_value, unpack
from stem_actor.ring.record import (
    ACKS_EARLY,
    ARGS,
    BACKOFF,
    IGNORE_RESULT,
    JITTER,
    POLICY,
    RECOVERY_RETRY,
    SOFT_EVENT,
    TaskHead,
)

__all__ = ["OPTION_BYTES", "build_head", "option_problems", "policy_of"]

OPTION_BYTES: Final = 512
_CRASHES_MAX: Final = (1 << 16) - 1

_RETRY: Final = "retry"  # keys of the option map: names of classes that are retried,
_NEVER: Final = "never"  # and of those that never are

# What the ring cannot do; a set option that did nothing would be worse than an error.
_UNSUPPORTED: Final = (
    "rate_limit",
    "group_rate_limit",
    "group_rate_key",
    "unique",
    "unique_for",
    "max_extension",
    "memory_limit",
    "cpu_limit",
)
_UNSUPPORTED_HERE: Final = ("link", "link_error", "publish_retry")


def build_head(
    name: str, options: TaskOptions, *, kind: int = ARGS, task_id: bytes = bytes(16)
) -> TaskHead:
    """
    Return the head of a task that is run under *options*, without any time in it.

    Args:
        name: The task's name.
        options: The merged options; ``max_retries`` is the envelope's number.
        kind: What the body will be, see ``ring.record``.
        task_id: Zeros: a fresh id is minted when it is submitted.

    Raises:
        PayloadTooLarge: If the policy's filters take more than 512 bytes.
    """
    flags = 0
    if not options.acks_late:
        flags |= ACKS_EARLY
    if options.ignore_result:
        flags |= IGNORE_RESULT
    if options.recovery_policy == "retry":
        flags |= RECOVERY_RETRY
    if options.soft_limit == "event":
        flags |= SOFT_EVENT
    policy_flags, base_ns, max_ns, filters = _policy_fields(name, options.retry_policy)
    return TaskHead(
        name=name,
        queue=options.queue,
        priority=options.priority,
        flags=flags | policy_flags,
        kind=kind,
        task_id=task_id,
        soft_ns=options.soft_time_limit_ns or 0,
        hard_ns=options.hard_time_limit_ns or 0,
        max_retries=options.max_retries,
        max_crashes=options.max_crashes,
        retry_base_ns=base_ns,
        retry_max_ns=max_ns,
        options=filters,
    )


def policy_of(head: TaskHead) -> TaskRetryPolicy | None:
    """
    Return the retry policy in *head*, or None if the strategy is in force.

    It decides as the one that was published. Its ``max_retries`` is None, because the
    number in the head has been merged from it.

    Raises:
        PayloadError: If the filters cannot be read.
    """
    if not head.flags & POLICY:
        return None
    filters = unpack(head.options) if head.options else {}
    names = cast("dict[str, list[str]]", filters if isinstance(filters, dict) else {})
    return TaskRetryPolicy(
        backoff=bool(head.flags & BACKOFF),
        default_delay=from_ns(head.retry_base_ns),
        backoff_max=from_ns(head.retry_max_ns) if head.retry_max_ns else None,
        jitter=bool(head.flags & JITTER),
        auto_retry_for=tuple(names.get(_RETRY, ())),
        dont_auto_retry_for=tuple(names.get(_NEVER, ())),
    )


def option_problems(
    options: TaskOptions, enqueue: TaskEnqueueOptions | None = None
) -> Iterator[str]:
    """Yield what in these options the ring cannot honour."""
    for name in _UNSUPPORTED:
        if getattr(options, name):
            yield f"{name} is not supported by the ring yet"
    if options.visibility_timeout is not None:  # 0 speaks too: no lease at all
        yield (
            "visibility_timeout is not supported by the ring: a lease on it lasts as "
            "long as its worker"
        )
    if options.isolation != "worker":
        yield f'isolation="{options.isolation}" is not supported by the ring yet'
    if options.max_crashes > _CRASHES_MAX:
        yield f"max_crashes must be at most {_CRASHES_MAX}, not {options.max_crashes}"
    for name in _UNSUPPORTED_HERE if enqueue is not None else ():
        if getattr(enqueue, name):
            yield f"{name} is not supported by the ring yet"


def _policy_fields(
    name: str, policy: TaskRetryPolicy | None
) -> tuple[int, int, int, bytes]:
    """Return flags, base and longest delay in ns, and the packed filters."""
    if policy is None:
        return 0, 0, 0, b""
    flags = POLICY | (JITTER if policy.jitter else 0)
    base_ns, max_ns = policy.default_delay_ns, 0
    if policy.backoff and policy.backoff_max_ns == 0:
        base_ns = 0  # every delay is 0; the field's 0 says "unbounded"
    elif policy.backoff:
        flags |= BACKOFF
        max_ns = policy.backoff_max_ns or 0
    filters: dict[str, object] = {}
    if policy.auto_retry_for:
        filters[_RETRY] = list(policy.auto_retry_names)
    if policy.dont_auto_retry_for:
        filters[_NEVER] = list(policy.dont_auto_retry_names)
    packed = pack_value(filters, path="retry_policy") if filters else b""
    if len(packed) > OPTION_BYTES:
        raise PayloadTooLarge(
            len(packed),
            OPTION_BYTES,
            path=f"the error filters of {name}'s retry policy",
        )
    return flags, base_ns, max_ns, packed


def check_options(
    place: str, options: TaskOptions, enqueue: TaskEnqueueOptions | None = None
) -> None:
    """
    Refuse what ``option_problems`` finds.

    Raises:
        SettingsError: With every problem; *place* stands before each.
    """
    problems = [f"{place}: {problem}" for problem in option_problems(options, enqueue)]
    if problems:
        raise SettingsError(problems)
