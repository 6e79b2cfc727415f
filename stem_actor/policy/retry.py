"""decide: what follows from the ending of a start. Pure, so it can be simulated."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stem_actor.errors import HardTimeLimitExceeded, SoftTimeLimitExceeded, WorkerLost
from stem_actor.model.duration import MAX_NS
from stem_actor.model.ending import (
    Cancel,
    Ending,
    Expired,
    Fail,
    FailReason,
    Lost,
    Outcome,
    OutOfMemory,
    Raised,
    Replay,
    Retry,
    RetryRequested,
    Returned,
    Revoked,
    Succeed,
    TimedOut,
)
from stem_actor.model.error import TaskError, class_names
from stem_actor.model.options import RecoveryPolicy
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.policy.strategy import (
    DelaySource,
    ExponentialJitterRetryStrategy,
    draw,
    exponential_ns,
)

__all__ = ["Situation", "decide", "matches", "policy_delay_ns"]

_DEFAULT_STRATEGY = ExponentialJitterRetryStrategy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """
    What is known about a task beside its ending.

    Attributes:
        attempt: 0-based number of the attempt that ended.
        max_retries: The envelope's number of tries after the first.
        task_id: Its 16 bytes; jitter is drawn from them.
        now_wall_ns: Wall time of the decision; only an explicit eta needs it.
        crashes: How often it has lost its worker by its own doing, this one
            included.
        max_crashes: The crash that dead-letters it.
        recovery_policy: What a crash below that number means.
        acks_late: False: a task that was started is not started again for a loss.
        strategy: The rule where no policy is in force.
        seed: Chooses the jitter of policies.
    """

    attempt: int
    max_retries: int
    task_id: bytes = b""
    now_wall_ns: int = 0
    crashes: int = 0
    max_crashes: int = 3
    recovery_policy: RecoveryPolicy = "replay"
    acks_late: bool = True
    strategy: DelaySource = _DEFAULT_STRATEGY
    seed: int | None = None


def decide(
    ending: Ending, policy: TaskRetryPolicy | None, situation: Situation
) -> Outcome:
    """
    Return the one outcome of *ending*.

    Args:
        ending: What happened.
        policy: The policy in force: the one a context asked for earlier, else the
            enqueue's, else the handler's; None: the strategy decides on delays.
        situation: The numbers that it depends on.
    """
    match ending:
        case Returned(payload):
            return Succeed(payload)
        case Raised(error):
            return _after_error(error, policy, situation)
        case TimedOut(level="deadline"):
            # Another attempt could not begin any more.
            return Fail(FailReason.DEADLINE, _limit_error(ending))
        case TimedOut():
            return _after_error(_limit_error(ending), policy, situation)
        case OutOfMemory():
            return _after_error(_memory_error(ending), policy, situation)
        case Lost():
            return _after_loss(ending, policy, situation)
        case RetryRequested():
            return _after_request(ending, policy, situation)
        case Revoked(reason):
            return Cancel("revoked" if reason is None else reason)
        case Expired():
            return Cancel("expired")


def policy_delay_ns(
    policy: TaskRetryPolicy, *, attempt: int, task_id: bytes, seed: int | None = None
) -> int:
    """
    Return how many nanoseconds *policy* waits after *attempt* (0-based).

    Without ``backoff`` it is exactly ``default_delay``. With it, ``raw`` is
    ``default_delay * 2**attempt``, bounded by ``backoff_max``, and jitter takes up
    to a quarter off. A quirk kept from the original: with a ``default_delay`` of 0
    there is nothing to double, and the delay is ``backoff_max`` (0 if that is None).

    Source: "Retry strategy and policy" of Dart Stem, ``core/retry.dart``.
    """
    base_ns = policy.default_delay_ns
    if not policy.backoff:
        return base_ns
    longest_ns = policy.backoff_max_ns
    if base_ns == 0:
        capped_ns = 0 if longest_ns is None else longest_ns
    else:
        bound_ns = MAX_NS if longest_ns is None else longest_ns
        capped_ns = exponential_ns(base_ns, attempt, bound_ns)
    if not policy.jitter:
        return capped_ns
    return capped_ns - draw(seed, task_id, attempt, capped_ns // 4)


def matches(error: TaskError, names: tuple[str, ...]) -> bool:
    """
    Return whether *error* is of one of *names*, or of a class derived from one.

    A name with a dot is compared with the qualified names of the error's classes,
    a bare one with their last part. Names, because the class itself may not exist
    in this process.
    """
    bare = {base.rpartition(".")[2] for base in error.bases} | {error.type}
    return any(name in error.bases or name in bare for name in names)


def _after_error(
    error: TaskError, policy: TaskRetryPolicy | None, situation: Situation
) -> Retry | Fail:
    max_retries = situation.max_retries
    if policy is not None:
        if policy.max_retries is not None:
            max_retries = policy.max_retries
        if not _may_retry(error, policy):
            return Fail(FailReason.REFUSED, replace(error, retryable=False))
    if situation.attempt >= max_retries:
        return Fail(FailReason.EXHAUSTED, replace(error, retryable=False))
    return Retry(
        delay_ns=_delay_ns(policy, situation),
        error=replace(error, retryable=True),
        max_retries=max_retries,
    )


def _may_retry(error: TaskError, policy: TaskRetryPolicy) -> bool:
    if matches(error, policy.dont_auto_retry_names):
        return False
    wanted = policy.auto_retry_names
    return not wanted or matches(error, wanted)


def _delay_ns(policy: TaskRetryPolicy | None, situation: Situation) -> int:
    if policy is None:
        return situation.strategy.delay_ns(situation.task_id, situation.attempt)
    return policy_delay_ns(
        policy,
        attempt=situation.attempt,
        task_id=situation.task_id,
        seed=situation.seed,
    )


def _after_loss(
    ending: Lost, policy: TaskRetryPolicy | None, situation: Situation
) -> Outcome:
    error = _loss_error(ending)
    if not situation.acks_late:
        # At most once, whoever's doing it was: the handler may have had effects.
        return Fail(FailReason.LOST, error)
    if ending.reason == "collateral":
        return Replay()
    if situation.crashes >= situation.max_crashes:
        reason = FailReason.MEMORY if ending.reason == "memory" else FailReason.CRASHED
        return Fail(reason, error)
    if situation.recovery_policy == "replay":
        return Replay()
    return _after_error(error, policy, situation)


def _after_request(
    ending: RetryRequested, policy: TaskRetryPolicy | None, situation: Situation
) -> Retry | Fail:
    in_force = policy if ending.retry_policy is None else ending.retry_policy
    max_retries = situation.max_retries
    if ending.max_retries is not None:
        max_retries = ending.max_retries
    elif in_force is not None and in_force.max_retries is not None:
        max_retries = in_force.max_retries
    if situation.attempt >= max_retries:
        exhausted = TaskError(
            type="RetryExhausted",
            message="retry requested but max retries exceeded",
            meta={"retryExhausted": True},
        )
        return Fail(FailReason.EXHAUSTED, exhausted)
    return Retry(
        delay_ns=_requested_delay_ns(ending, in_force, situation),
        error=TaskError(
            type="RetryRequested", message="explicit retry requested", retryable=True
        ),
        max_retries=max_retries,
        policy=_kept_policy(ending, in_force, max_retries),
        time_limit_ns=ending.time_limit_ns,
        soft_time_limit_ns=ending.soft_time_limit_ns,
    )


def _requested_delay_ns(
    ending: RetryRequested, in_force: TaskRetryPolicy | None, situation: Situation
) -> int:
    if ending.eta_ns is not None:
        return max(0, ending.eta_ns - situation.now_wall_ns)
    if ending.countdown_ns is not None:
        return ending.countdown_ns
    # "At once" and not the strategy's delay: the handler asked for it by name.
    return 0 if in_force is None else _delay_ns(in_force, situation)


def _kept_policy(
    ending: RetryRequested, in_force: TaskRetryPolicy | None, max_retries: int
) -> TaskRetryPolicy | None:
    """
    Return the policy to store with the next attempt, or None for no change.

    A policy's own ``max_retries`` beats the envelope's. So where a handler asked
    for another number, the stored policy has to carry it, or the next failure
    would fall back to the old one.
    """
    if ending.max_retries is None or in_force is None:
        return ending.retry_policy
    if in_force.max_retries in (None, max_retries):
        return ending.retry_policy
    return replace(in_force, max_retries=max_retries)


def _limit_error(ending: TimedOut) -> TaskError:
    cls = SoftTimeLimitExceeded if ending.level == "soft" else HardTimeLimitExceeded
    if ending.level == "deadline":
        message = "its deadline passed while it ran"
    else:
        what = "processor time" if ending.level == "cpu" else f"{ending.level} time"
        message = f"{what} limit of {ending.limit_ns / 1e9:g} s exceeded"
    return TaskError(
        type=cls.__name__,
        message=message,
        stack=ending.stack,
        meta={"level": ending.level, "limitNs": ending.limit_ns},
        bases=class_names(cls),
    )


def _memory_error(ending: OutOfMemory) -> TaskError:
    return TaskError(
        type=WorkerLost.__name__,
        message=f"memory limit of {ending.limit:,} bytes exceeded",
        stack=ending.stack,
        meta={"level": "memory", "limitBytes": ending.limit},
        bases=class_names(WorkerLost),
    )


def _loss_error(ending: Lost) -> TaskError:
    if ending.signal is not None:
        how = f"signal {ending.signal}"
    elif ending.exit_status is not None:
        how = f"exit status {ending.exit_status}"
    else:
        how = "its exit status is not known"
    cause = "out of memory, " if ending.oom else ""
    return TaskError(
        type=WorkerLost.__name__,
        message=f"the worker died ({ending.reason}: {cause}{how})",
        stack=ending.stack,
        meta={
            "reason": ending.reason,
            "signal": ending.signal,
            "exitStatus": ending.exit_status,
            "oom": ending.oom,
        },
        bases=class_names(WorkerLost),
    )
