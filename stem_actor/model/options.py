"""TaskOptions: how a task is to be run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.rate import RateLimit, parse_rate
from stem_actor.model.retry_policy import TaskRetryPolicy, check_retries

__all__ = [
    "MAX_PRIORITY",
    "FailureMode",
    "InvalidOptions",
    "Isolation",
    "RecoveryPolicy",
    "SoftLimitMode",
    "TaskOptions",
    "check_priority",
    "check_queue",
]

MAX_PRIORITY: Final = 9
_QUEUE_BYTES: Final = 128

FailureMode = Literal["fail_open", "fail_closed"]
RecoveryPolicy = Literal["replay", "retry"]
SoftLimitMode = Literal["raise", "event"]
Isolation = Literal["worker", "fresh"]

_CHOICES: Final = {
    "group_rate_limiter_failure_mode": get_args(FailureMode),
    "recovery_policy": get_args(RecoveryPolicy),
    "soft_limit": get_args(SoftLimitMode),
    "isolation": get_args(Isolation),
}
_LIMITS: Final = ("soft_time_limit", "hard_time_limit", "cpu_limit")
_DURATIONS: Final = ("unique_for", "visibility_timeout", "max_extension")
_FLAGS: Final = ("unique", "acks_late", "ignore_result")


class InvalidOptions(ValueError):
    """
    Options that cannot be honoured.

    Attributes:
        problems: Every problem found, one line each.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[InvalidOptions], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """
    How a task is to be run; durations are ``timedelta`` or seconds.

    Attributes:
        queue: Name of the line of envelopes it waits in.
        max_retries: Tries after the first one.
        soft_time_limit: After this the handler is interrupted.
        hard_time_limit: After this the worker is killed.
        rate_limit: ``"<int>/<s|m|h>"``: starts of this task in any such window.
        group_rate_limit: The same, shared by all tasks with the same group key.
        group_rate_key: That key; None: the value of *group_rate_key_header*.
        group_rate_key_header: Header that holds the group key.
        group_rate_limiter_failure_mode: What a broken limiter means.
        unique: Whether a second enqueue with the same key returns the first's id.
        unique_for: Longest time the key is held; None: until the task has ended.
        priority: 0 to 9; higher starts first.
        acks_late: False: a started task is never run again after a crash.
        visibility_timeout: Length of the lease; 0: no lease; None: the broker's.
        retry_policy: Own settings for retries; None: the worker's strategy.
        recovery_policy: After a crash, run the attempt again or count it as failed.
        soft_limit: Whether the soft limit raises in the handler or only tells.
        max_crashes: The crash that dead-letters the task.
        max_extension: Most that ``extend_limit`` may add; None: nothing.
        memory_limit: Bytes of resident memory after which the worker is killed.
        cpu_limit: Processor time after which the worker is killed.
        isolation: Share a worker, or have a fresh process for this task alone.
        ignore_result: Whether the returned value is thrown away.

    Raises:
        InvalidOptions: With every problem at once.
    """

    queue: str = "default"
    max_retries: int = 0
    soft_time_limit: Duration | None = None
    hard_time_limit: Duration | None = None
    rate_limit: str | None = None
    group_rate_limit: str | None = None
    group_rate_key: str | None = None
    group_rate_key_header: str = "tenant"
    group_rate_limiter_failure_mode: FailureMode = "fail_open"
    unique: bool = False
    unique_for: Duration | None = None
    priority: int = 0
    acks_late: bool = True
    visibility_timeout: Duration | None = None
    retry_policy: TaskRetryPolicy | None = None
    recovery_policy: RecoveryPolicy = "replay"
    soft_limit: SoftLimitMode = "raise"
    max_crashes: int = 3
    max_extension: Duration | None = None
    memory_limit: int | None = None
    cpu_limit: Duration | None = None
    isolation: Isolation = "worker"
    ignore_result: bool = False

    def __post_init__(self) -> None:
        problems = tuple(_problems(self))
        if problems:
            raise InvalidOptions(problems)

    @property
    def soft_time_limit_ns(self) -> int | None:
        return _ns(self.soft_time_limit, "soft_time_limit")

    @property
    def hard_time_limit_ns(self) -> int | None:
        return _ns(self.hard_time_limit, "hard_time_limit")

    @property
    def unique_for_ns(self) -> int | None:
        return _ns(self.unique_for, "unique_for")

    @property
    def visibility_timeout_ns(self) -> int | None:
        return _ns(self.visibility_timeout, "visibility_timeout")

    @property
    def max_extension_ns(self) -> int | None:
        return _ns(self.max_extension, "max_extension")

    @property
    def cpu_limit_ns(self) -> int | None:
        return _ns(self.cpu_limit, "cpu_limit")

    @property
    def rate(self) -> RateLimit | None:
        return None if self.rate_limit is None else parse_rate(self.rate_limit)

    @property
    def group_rate(self) -> RateLimit | None:
        if self.group_rate_limit is None:
            return None
        return parse_rate(self.group_rate_limit, "group_rate_limit")


def check_priority(value: object) -> None:
    """Raise ValueError if *value* is not an int in 0..9."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"priority must be an int, not {value!r}")
    if not 0 <= value <= MAX_PRIORITY:
        raise ValueError(f"priority must be in 0..{MAX_PRIORITY}, not {value}")


def check_queue(value: object) -> None:
    """Raise ValueError if *value* is not a name of 1 to 128 bytes."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"queue must be a printable name, not {value!r}")
    if len(value.encode()) > _QUEUE_BYTES:
        raise ValueError(
            f"queue must be at most {_QUEUE_BYTES} bytes, not {value[:80]!r}…"
        )


def _ns(value: Duration | None, name: str) -> int | None:
    return None if value is None else to_ns(value, name)


def _problems(options: TaskOptions) -> Iterator[str]:
    """Yield each problem of *options*, in the order of its fields."""
    yield from _wrong(lambda: check_queue(options.queue))
    yield from _wrong(lambda: check_retries(options.max_retries))
    yield from _wrong(lambda: check_priority(options.priority))
    yield from _wrong(lambda: options.rate)
    yield from _wrong(lambda: options.group_rate)
    yield from _time_problems(options)
    for name, allowed in _CHOICES.items():
        if getattr(options, name) not in allowed:
            choice = " or ".join(f'"{item}"' for item in allowed)
            yield f"{name} must be {choice}, not {getattr(options, name)!r}"
    for name in _FLAGS:
        if not isinstance(getattr(options, name), bool):
            yield f"{name} must be True or False, not {getattr(options, name)!r}"
    policy: object = options.retry_policy
    if policy is not None and not isinstance(policy, TaskRetryPolicy):
        yield f"retry_policy must be a TaskRetryPolicy, not {policy!r}"
    yield from _number_problems(options)
    key: object = options.group_rate_key
    if key is not None and (not isinstance(key, str) or not key):
        yield f"group_rate_key must be a non-empty str, not {key!r}"
    header: object = options.group_rate_key_header
    if not isinstance(header, str) or not header:
        yield f"group_rate_key_header must be a non-empty str, not {header!r}"


def _time_problems(options: TaskOptions) -> Iterator[str]:
    limits_ns: dict[str, int] = {}
    for name in _LIMITS + _DURATIONS:
        value: Duration | None = getattr(options, name)
        if value is None:
            continue
        try:
            limits_ns[name] = to_ns(value, name)
        except (TypeError, ValueError) as error:
            yield str(error)
        else:
            if limits_ns[name] == 0 and name != "visibility_timeout":
                yield f"{name} must be > 0, not {value}"
    soft_ns = limits_ns.get("soft_time_limit")
    hard_ns = limits_ns.get("hard_time_limit")
    if soft_ns is not None and hard_ns is not None and soft_ns > hard_ns:
        yield (
            f"soft_time_limit ({options.soft_time_limit}) must not be above "
            f"hard_time_limit ({options.hard_time_limit})"
        )


#: The most that the head of a task has room for.
_INTS: Final = {"max_crashes": (1 << 16) - 1, "memory_limit": (1 << 63) - 1}


def _number_problems(options: TaskOptions) -> Iterator[str]:
    for name, most in _INTS.items():
        value: object = getattr(options, name)
        if value is None and name == "memory_limit":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            yield f"{name} must be an int >= 1, not {value!r}"
        elif value > most:
            yield f"{name} must be at most {most:,}, not {value!r}"


def _wrong(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except ValueError as error:
        yield str(error)
