"""TaskEnqueueOptions: what one enqueue says; and the keyword forms of options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypedDict

from stem_actor.model.duration import Duration, to_ns, to_wall_ns
from stem_actor.model.options import (
    FailureMode,
    InvalidOptions,
    Isolation,
    RecoveryPolicy,
    SoftLimitMode,
    check_priority,
    check_queue,
)
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.model.unset import UNSET, Unset

__all__ = [
    "EnqueueOptionsDict",
    "LinkedCall",
    "OnFull",
    "TaskEnqueueOptions",
    "TaskOptionsDict",
]

OnFull = Literal["wait", "raise"]


class LinkedCall(Protocol):
    """What ``link`` and ``link_error`` hold: a prepared call (``TaskCall``)."""

    @property
    def name(self) -> str: ...

    @property
    def args(self) -> Mapping[str, object]: ...


class TaskOptionsDict(TypedDict, total=False):
    """The fields of ``TaskOptions`` as keywords; a missing one is unset."""

    queue: str
    max_retries: int
    soft_time_limit: Duration | None
    hard_time_limit: Duration | None
    rate_limit: str | None
    group_rate_limit: str | None
    group_rate_key: str | None
    group_rate_key_header: str
    group_rate_limiter_failure_mode: FailureMode
    unique: bool
    unique_for: Duration | None
    priority: int
    acks_late: bool
    visibility_timeout: Duration | None
    retry_policy: TaskRetryPolicy | None
    recovery_policy: RecoveryPolicy
    soft_limit: SoftLimitMode
    max_crashes: int
    max_extension: Duration | None
    memory_limit: int | None
    cpu_limit: Duration | None
    isolation: Isolation
    ignore_result: bool


class EnqueueOptionsDict(TypedDict, total=False):
    """The fields of ``TaskEnqueueOptions`` as keywords; a missing one is unset."""

    task_id: str | None
    countdown: Duration | None
    eta: datetime | None
    expires: datetime | Duration | None
    deadline: datetime | Duration | None
    queue: str | Unset
    priority: int | Unset
    time_limit: Duration | Unset | None
    soft_time_limit: Duration | Unset | None
    ignore_result: bool | Unset
    add_to_parent: bool
    publish_retry: bool
    retry_policy: TaskRetryPolicy | Unset | None
    link: Sequence[LinkedCall]
    link_error: Sequence[LinkedCall]
    unique: bool | Unset
    unique_for: Duration | Unset | None
    on_full: OnFull
    enqueue_timeout: Duration
    wait_timeout: Duration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnqueueOptions:
    """
    What one enqueue says. UNSET leaves a field to the call's or task's options.

    Attributes:
        task_id: Id to use, a UUID; None: a fresh one.
        countdown: Start this long after the enqueue at the earliest.
        eta: Start at this instant at the earliest; beats *countdown*.
        expires: Not started after this instant, or this long after the enqueue.
        deadline: Must have ended by then; caps the hard limit, children inherit it.
        queue: Overrides the task's queue.
        priority: Overrides the task's priority, 0 to 9.
        time_limit: Overrides the task's hard limit.
        soft_time_limit: Overrides the task's soft limit.
        ignore_result: Overrides whether the returned value is thrown away.
        add_to_parent: Whether a child records the task that enqueued it.
        publish_retry: Whether a failed publish is tried again.
        retry_policy: Overrides the task's policy; also used by *publish_retry*.
        link: Calls enqueued once the task has succeeded.
        link_error: Calls enqueued once the task has failed.
        unique: Overrides whether a second enqueue returns the first's id.
        unique_for: Overrides how long the unique key is held at most.
        on_full: Wait for room, or raise ``QueueFull`` at once.
        enqueue_timeout: Longest wait for room.
        wait_timeout: Longest wait of ``enqueue_and_wait``; None: no bound.

    Raises:
        InvalidOptions: With every problem at once.
    """

    task_id: str | None = None
    countdown: Duration | None = None
    eta: datetime | None = None
    expires: datetime | Duration | None = None
    deadline: datetime | Duration | None = None
    queue: str | Unset = UNSET
    priority: int | Unset = UNSET
    time_limit: Duration | Unset | None = UNSET
    soft_time_limit: Duration | Unset | None = UNSET
    ignore_result: bool | Unset = UNSET
    add_to_parent: bool = True
    publish_retry: bool = False
    retry_policy: TaskRetryPolicy | Unset | None = UNSET
    link: Sequence[LinkedCall] = ()
    link_error: Sequence[LinkedCall] = ()
    unique: bool | Unset = UNSET
    unique_for: Duration | Unset | None = UNSET
    on_full: OnFull = "wait"
    enqueue_timeout: Duration = 5
    wait_timeout: Duration | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "link", tuple(self.link))
        object.__setattr__(self, "link_error", tuple(self.link_error))
        problems = tuple(_problems(self))
        if problems:
            raise InvalidOptions(problems)

    @property
    def enqueue_timeout_ns(self) -> int:
        return to_ns(self.enqueue_timeout, "enqueue_timeout")

    @property
    def wait_timeout_ns(self) -> int | None:
        if self.wait_timeout is None:
            return None
        return to_ns(self.wait_timeout, "wait_timeout")

    def not_before_ns(self, now_wall_ns: int) -> int | None:
        """Return the earliest start in wall time, or None: at once."""
        if self.eta is not None:
            return to_wall_ns(self.eta, "eta")
        if self.countdown is not None:
            return now_wall_ns + to_ns(self.countdown, "countdown")
        return None

    def expires_ns(self, now_wall_ns: int) -> int | None:
        """Return the instant after which the task is not started, in wall time."""
        return _instant_ns(self.expires, "expires", now_wall_ns)

    def deadline_ns(self, now_wall_ns: int) -> int | None:
        """Return the instant by which the task must have ended, in wall time."""
        return _instant_ns(self.deadline, "deadline", now_wall_ns)


_ABOVE_ZERO: Final = frozenset({"time_limit", "soft_time_limit", "unique_for"})
_DURATIONS: Final = (
    "countdown",
    "time_limit",
    "soft_time_limit",
    "unique_for",
    "enqueue_timeout",
    "wait_timeout",
)
_FLAGS: Final = ("ignore_result", "add_to_parent", "publish_retry", "unique")


def _instant_ns(
    value: datetime | Duration | None, name: str, now_wall_ns: int
) -> int | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return to_wall_ns(value, name)
    return now_wall_ns + to_ns(value, name)


def _problems(options: TaskEnqueueOptions) -> Iterator[str]:
    for check in (_check_names, _check_instants):
        try:
            check(options)
        except (TypeError, ValueError) as error:
            yield str(error)
    for name in _DURATIONS:
        yield from _duration_problems(getattr(options, name), name)
    for name in _FLAGS:
        flag: object = getattr(options, name)
        if flag is not UNSET and not isinstance(flag, bool):
            yield f"{name} must be True or False, not {flag!r}"
    policy: object = options.retry_policy
    if policy not in (None, UNSET) and not isinstance(policy, TaskRetryPolicy):
        yield f"retry_policy must be a TaskRetryPolicy, not {policy!r}"
    if options.on_full not in ("wait", "raise"):
        yield f'on_full must be "wait" or "raise", not {options.on_full!r}'


def _check_names(options: TaskEnqueueOptions) -> None:
    if options.task_id is not None and not isinstance(options.task_id, str):
        raise TypeError(f"task_id must be a str, not {options.task_id!r}")
    if options.queue is not UNSET:
        check_queue(options.queue)
    if options.priority is not UNSET:
        check_priority(options.priority)


def _check_instants(options: TaskEnqueueOptions) -> None:
    if options.eta is not None:
        to_wall_ns(options.eta, "eta")
    options.expires_ns(0)
    options.deadline_ns(0)


def _duration_problems(value: object, name: str) -> Iterator[str]:
    if value is UNSET or (value is None and name != "enqueue_timeout"):
        return
    try:
        ns = to_ns(value, name)  # type: ignore[arg-type]  # it says if it is none
    except (TypeError, ValueError) as error:
        yield str(error)
    else:
        if ns == 0 and name in _ABOVE_ZERO:
            yield f"{name} must be > 0, not {value}"
