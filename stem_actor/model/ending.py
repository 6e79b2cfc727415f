"""
Endings and outcomes: what happened to a start, and what is done about it.

An ending is a fact that a worker reports or the supervisor concludes from a death.
``policy.retry.decide`` maps it to exactly one outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from stem_actor.model.error import TaskError
from stem_actor.model.retry_policy import TaskRetryPolicy

__all__ = [
    "Cancel",
    "Ending",
    "Expired",
    "Fail",
    "FailReason",
    "LossReason",
    "Lost",
    "OutOfMemory",
    "Outcome",
    "Raised",
    "Replay",
    "Retry",
    "RetryRequested",
    "Returned",
    "Revoked",
    "Succeed",
    "TimedOut",
]

LossReason = Literal["crashed", "memory", "collateral"]
"""
Why a started task lost its worker. ``crashed``: the worker died by itself.
``memory``: we killed it for this task's memory. ``collateral``: we killed it for
another reason; that is a start, but never a crash of the task.
"""


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler returned; *payload* is its packed value."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Raised:
    """The handler raised."""

    error: TaskError


@dataclass(frozen=True, slots=True)
class TimedOut:
    """
    The handler ran into a limit.

    Attributes:
        level: ``"soft"``: it let the interruption escape; ``"hard"``: it was killed;
            ``"cpu"``: it was killed for the processor time it had used;
            ``"deadline"``: it was killed because it must have ended by now.
        limit_ns: The limit that was in force.
        stack: Where it was stuck, if that is known.
    """

    level: Literal["soft", "hard", "cpu", "deadline"]
    limit_ns: int
    stack: str | None = None


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """
    The handler was killed for its own memory limit.

    Attributes:
        limit: The limit in bytes.
        stack: Where it was, if that is known.
    """

    limit: int
    stack: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """
    The worker died before it reported an outcome.

    Attributes:
        reason: Whose doing it was.
        signal: Number of the signal that ended the worker, if one did.
        exit_status: The worker's exit status, if it exited.
        oom: Whether the kernel killed it for want of memory.
        stack: The last words of the worker, if it left any.
    """

    reason: LossReason = "crashed"
    signal: int | None = None
    exit_status: int | None = None
    oom: bool = False
    stack: str | None = None


@dataclass(frozen=True, slots=True)
class Revoked:
    """The task was forbidden to run, before its start or during it."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """The task was not started in time."""


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """
    The handler called ``context.retry``.

    Attributes:
        countdown_ns: Delay asked for.
        eta_ns: Instant asked for, in wall time; beats *countdown_ns*.
        retry_policy: Policy for this and all later attempts.
        max_retries: Tries after the first, from now on.
        time_limit_ns: Hard limit of the next attempts.
        soft_time_limit_ns: Soft limit of the next attempts.
    """

    countdown_ns: int | None = None
    eta_ns: int | None = None
    retry_policy: TaskRetryPolicy | None = None
    max_retries: int | None = None
    time_limit_ns: int | None = None
    soft_time_limit_ns: int | None = None


Ending = (
    Returned
    | Raised
    | TimedOut
    | OutOfMemory
    | Lost
    | Revoked
    | Expired
    | RetryRequested
)


class FailReason(StrEnum):
    """Why a task is dead-lettered."""

    EXHAUSTED = "max-retries-exhausted"
    REFUSED = "not-retryable"
    CRASHED = "crashed"
    MEMORY = "memory"
    LOST = "worker-lost"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Succeed:
    """Record the value and settle."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Retry:
    """
    Run the next attempt, ``attempt + 1``.

    Attributes:
        delay_ns: How long from now, at the earliest.
        error: What the ``retried`` status shows.
        max_retries: Written to the next envelope.
        policy: A policy that a context asked for, to be kept; None: no change.
        time_limit_ns: A hard limit to be kept; None: no change.
        soft_time_limit_ns: A soft limit to be kept; None: no change.
    """

    delay_ns: int
    error: TaskError
    max_retries: int
    policy: TaskRetryPolicy | None = None
    time_limit_ns: int | None = None
    soft_time_limit_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """Run the same attempt again at once: its start was lost, it did not fail."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Record the error and dead-letter the task."""

    reason: FailReason
    error: TaskError


@dataclass(frozen=True, slots=True)
class Cancel:
    """Record that the task will not run (again); *reason* is kept with it."""

    reason: str


Outcome = Succeed | Retry | Replay | Fail | Cancel
