"""The head of a task: options as the supervisor reads them, and policies read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from stem_actor.engine.claims import NO_GROUP, group_of, limit_claims
from stem_actor.errors import PayloadError, PayloadTooLarge, SettingsError
from stem_actor.model.duration import from_ns
from stem_actor.model.enqueue_options import TaskEnqueueOptions
from stem_actor.model.options import TaskOptions
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.payload.wire import pack_value, unpack
from stem_actor.ring.record import (
    ACKS_EARLY,
    ARGS,
    BACKOFF,
    CPU,
    IGNORE_RESULT,
    JITTER,
    MEMORY,
    POLICY,
    RECOVERY_RETRY,
    SOFT_EVENT,
    TaskHead,
)

__all__ = [
    "OPTION_BYTES",
    "build_head",
    "group_in",
    "meters_of",
    "option_problems",
    "policy_of",
]

OPTION_BYTES: Final = 512
_CRASHES_MAX: Final = (1 << 16) - 1

_RETRY: Final = "retry"  # keys of the option map: names of classes that are retried,
_NEVER: Final = "never"  # and of those that never are
_MEMORY: Final = "memory"  # bytes, and
_CPU: Final = "cpu"  # nanoseconds, that the supervisor watches
_GROUP: Final = "group"  # the group of its rate limit, to be shown
_GROUP_SHOWN: Final = 64

#: The field is an unsigned 32-bit number of milliseconds.
_EXTENSION_MAX_MS: Final = (1 << 32) - 1

# What the ring cannot do; a set option that did nothing would be worse than an error.
_UNSUPPORTED_HERE: Final = ("link", "link_error", "publish_retry")


def build_head(
    name: str,
    options: TaskOptions,
    *,
    kind: int = ARGS,
    task_id: bytes = bytes(16),
    headers: Mapping[str, str] | None = None,
) -> TaskHead:
    """
    Return the head of a task that is run under *options*, without any time in it.

    Args:
        name: The task's name.
        options: The merged options; ``max_retries`` is the envelope's number.
        kind: What the body will be, see ``ring.record``.
        task_id: Zeros: a fresh id is minted when it is submitted.
        headers: They may say which group it belongs to.

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
    policy_flags, base_ns, max_ns, filters = _policy_fields(options.retry_policy)
    meters, measured = _meter_fields(options)
    group = group_of(options, headers)
    if options.group_rate is not None:
        measured[_GROUP] = group[:_GROUP_SHOWN]
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
        meters=meters,
        extension_ms=-(-(options.max_extension_ns or 0) // 1_000_000),
        options=_pack_options(name, {**filters, **measured}),
        claims=limit_claims(name, options, group),
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
    options = _options_of(head)
    try:
        return TaskRetryPolicy(
            backoff=bool(head.flags & BACKOFF),
            default_delay=from_ns(head.retry_base_ns),
            backoff_max=from_ns(head.retry_max_ns) if head.retry_max_ns else None,
            jitter=bool(head.flags & JITTER),
            auto_retry_for=_names_in(options, _RETRY),
            dont_auto_retry_for=_names_in(options, _NEVER),
        )
    except (ValueError, OverflowError) as error:
        raise PayloadError(
            f"the retry policy of the task is out of range: {error}", path="options"
        ) from error


def meters_of(head: TaskHead) -> tuple[int | None, int | None]:
    """
    Return the limits of *head* on memory in bytes and on processor time in ns.

    Raises:
        PayloadError: If the options cannot be read.
    """
    if not head.meters:
        return None, None
    options = _options_of(head)
    return _number_in(options, _MEMORY), _number_in(options, _CPU)


def group_in(head: TaskHead) -> str:
    """
    Return the group that the task of *head* is limited with.

    Raises:
        PayloadError: If the options cannot be read.
    """
    return str(_options_of(head).get(_GROUP, NO_GROUP))


def _options_of(head: TaskHead) -> dict[object, object]:
    options = unpack(head.options) if head.options else {}
    if not isinstance(options, dict):
        raise PayloadError("the options of the task are no map", path="options")
    return options


def _names_in(options: dict[object, object], key: str) -> tuple[str, ...]:
    names = options.get(key, [])
    if not isinstance(names, list) or not all(isinstance(it, str) for it in names):
        raise PayloadError(
            f"{key!r} in the options of the task is no list of names", path="options"
        )
    return tuple(names)


def _number_in(options: dict[object, object], key: str) -> int | None:
    number = options.get(key)
    if number is None or (type(number) is int and number >= 0):
        return number
    raise PayloadError(
        f"{key!r} in the options of the task is no number", path="options"
    )


def option_problems(
    options: TaskOptions, enqueue: TaskEnqueueOptions | None = None
) -> Iterator[str]:
    """Yield what in these options the ring cannot honour."""
    if options.group_rate_key is not None and options.group_rate_limit is None:
        yield "group_rate_key says nothing without a group_rate_limit"
    if options.visibility_timeout is not None:  # 0 speaks too: no lease at all
        yield (
            "visibility_timeout is not supported by the ring: a lease on it lasts as "
            "long as its worker"
        )
    if options.isolation != "worker":
        yield f'isolation="{options.isolation}" is not supported by the ring yet'
    if options.max_crashes > _CRASHES_MAX:
        yield f"max_crashes must be at most {_CRASHES_MAX}, not {options.max_crashes}"
    if (options.max_extension_ns or 0) > _EXTENSION_MAX_MS * 1_000_000:
        yield f"max_extension must be at most 49 days, not {options.max_extension}"
    for name in _UNSUPPORTED_HERE if enqueue is not None else ():
        if getattr(enqueue, name):
            yield f"{name} is not supported by the ring yet"


def _policy_fields(
    policy: TaskRetryPolicy | None,
) -> tuple[int, int, int, dict[str, object]]:
    """Return flags, base and longest delay in ns, and the filters."""
    if policy is None:
        return 0, 0, 0, {}
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
    return flags, base_ns, max_ns, filters


def _meter_fields(options: TaskOptions) -> tuple[int, dict[str, object]]:
    """Return which limits the supervisor has to measure, and their numbers."""
    meters, measured = 0, dict[str, object]()
    if options.memory_limit is not None:
        meters |= MEMORY
        measured[_MEMORY] = options.memory_limit
    if options.cpu_limit_ns is not None:
        meters |= CPU
        measured[_CPU] = options.cpu_limit_ns
    return meters, measured


def _pack_options(name: str, options: dict[str, object]) -> bytes:
    packed = pack_value(options, path="options") if options else b""
    if len(packed) > OPTION_BYTES:
        raise PayloadTooLarge(
            len(packed),
            OPTION_BYTES,
            path=f"the error filters of {name}'s retry policy",
        )
    return packed


def check_options(
    place: str,
    options: TaskOptions,
    enqueue: TaskEnqueueOptions | None = None,
    refused: Iterable[str] = (),
) -> None:
    """
    Refuse what ``option_problems`` finds, and what the task has *refused* itself.

    Raises:
        SettingsError: With every problem; *place* stands before each.
    """
    found = (*refused, *option_problems(options, enqueue))
    problems = [f"{place}: {problem}" for problem in found]
    if problems:
        raise SettingsError(problems)
