"""What follows from an exception that has ended a start."""

from __future__ import annotations

from asyncio import CancelledError
from dataclasses import replace
from types import TracebackType
from typing import Final

from stem_actor.clock import SystemClock
from stem_actor.engine.head import policy_of
from stem_actor.engine.report import Report
from stem_actor.errors import SoftTimeLimitExceeded, TaskRetryRequest, TaskRevoked
from stem_actor.model.duration import to_ns
from stem_actor.model.ending import (
    Ending,
    Fail,
    FailReason,
    Raised,
    Retry,
    TimedOut,
)
from stem_actor.model.error import TaskError
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.model.verdict import VERDICT, Reason
from stem_actor.payload.wire import pack_value
from stem_actor.policy.retry import Situation, decide
from stem_actor.policy.strategy import (
    DelaySource,
    ExponentialJitterRetryStrategy,
    RetryStrategy,
)
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import ACKS_EARLY, pack_limits
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.delivery import Delivery
from stem_actor.tasks.outcome import pack_cancellation, pack_failure
from stem_actor.tasks.runner import ArgumentsRefused, ResultRefused

__all__ = ["DEFAULT_STRATEGY", "NEXT", "report_failure"]

DEFAULT_STRATEGY: Final = ExponentialJitterRetryStrategy()

NEXT: Final = "stem.next"
"""
Key in the meta of a RETRY error: what ``context.retry`` asked of later attempts, as
``retryPolicy`` (wire form) and ``maxRetries``.
"""

_CLOCK: Final = SystemClock()
_OWN_MODULES: Final = ("stem_actor.engine.execute", "stem_actor.tasks.runner")


def report_failure(
    context: TaskContext, exc: BaseException, strategy: RetryStrategy
) -> Report:
    """
    Return the report on a start that *exc* has ended.

    Args:
        context: The context of the start.
        exc: What came out of the handler, or of reading its arguments or its result.
        strategy: The rule for delays where no policy is in force.
    """
    return _report(context, exc, strategy)


class _Asked:
    """A user's strategy as a ``DelaySource``; asked only if a delay is needed."""

    def __init__(self, strategy: RetryStrategy, exc: BaseException, stack: str) -> None:
        self._strategy = strategy
        self._exc = exc
        self._stack = stack
        self.trouble: str | None = None

    def delay_ns(self, task_id: bytes, attempt: int) -> int:
        try:
            delay = self._strategy.next_delay(attempt, self._exc, self._stack)
            return to_ns(delay, "the delay of the retry strategy")
        except Exception as error:  # user code; the task must be retried all the same
            self.trouble = f"{type(error).__name__}: {error}"
            return DEFAULT_STRATEGY.delay_ns(task_id, attempt)


def _report(
    context: TaskContext, exc: BaseException, strategy: RetryStrategy
) -> Report:
    exc.__traceback__ = _user_part(exc.__traceback__)
    interruption = context.runtime.interruption
    match exc:
        case ArgumentsRefused():
            return _failed(context, _error_of(exc.__cause__ or exc), "bad-arguments")
        case ResultRefused():
            return _failed(context, _error_of(exc.__cause__ or exc), "bad-result")
        case TaskRevoked() if interruption != "revoked":  # its own idea
            verdict = _verdict(context, "revoked")
            payload = pack_cancellation("revoked", exc.reason, verdict)
            return Report(Kind.CANCELLED, payload)
        case TaskRetryRequest():
            return _decided(context, exc.request, exc, strategy)
    if _is_interruption(exc, context):
        return _interrupted(context, exc, strategy)
    if isinstance(exc, CancelledError | SoftTimeLimitExceeded | Exception):
        # A CancelledError that is none of ours is an error like any other: the
        # handler waited for something that was cancelled. So is a limit that it
        # has raised of its own accord.
        return _decided(context, Raised(_error_of(exc)), exc, strategy)
    return _exited(context, exc)


def _is_interruption(exc: BaseException, context: TaskContext) -> bool:
    """
    Whether *exc* is what the runtime has put into the handler, or made of it.

    With ``soft_limit="event"`` nothing is put into it: the limit is its own to raise,
    once it has passed.
    """
    if context.runtime.interruption is None:
        is_limit = isinstance(exc, SoftTimeLimitExceeded)
        return is_limit and "softExceeded" in context.runtime.facts()
    if isinstance(exc, SoftTimeLimitExceeded):
        return True
    if isinstance(exc, BaseExceptionGroup):  # it was raised in a task of a group
        return exc.subgroup((SoftTimeLimitExceeded, TaskRevoked)) is not None
    return isinstance(exc, CancelledError | TaskRevoked)


def _interrupted(
    context: TaskContext, exc: BaseException, strategy: RetryStrategy
) -> Report:
    """The interruption has ended the handler: what follows depends on its reason."""
    delivery = context.delivery
    match context.runtime.interruption:
        case "revoked":  # the supervisor knows who asked for it, and in which words
            return Report(Kind.STOPPED, pack_value(_verdict(context, "revoked")))
        case "drain" if not delivery.flags & ACKS_EARLY:
            verdict = pack_value(_verdict(context, "collateral"))
            return Report(Kind.HANDED_BACK, verdict)
        case "drain":
            error = _error_of(exc)
            return _failed(context, error, FailReason.LOST.value, verdict="collateral")
    limit_ns = delivery.soft_ns or delivery.head.soft_ns
    limit = TimedOut("soft", limit_ns, _error_of(exc).stack)
    return _decided(context, limit, exc, strategy)


def _decided(
    context: TaskContext, ending: Ending, exc: BaseException, strategy: RetryStrategy
) -> Report:
    delivery = context.delivery
    max_retries = delivery.max_retries
    if max_retries is None:
        max_retries = delivery.head.max_retries
    delays: DelaySource
    if isinstance(strategy, ExponentialJitterRetryStrategy):
        delays = strategy
    else:
        delays = _Asked(strategy, exc, _error_of(exc).stack or "")
    situation = Situation(
        attempt=delivery.attempt,
        max_retries=max_retries,
        task_id=delivery.task_id,
        now_wall_ns=_CLOCK.wall_ns(),
        strategy=delays,
    )
    outcome = decide(ending, _policy(delivery), situation)
    verdict: Reason = "soft" if isinstance(ending, TimedOut) else "raised"
    if isinstance(outcome, Fail):
        reason = outcome.reason.value
        return _failed(context, outcome.error, reason, verdict=verdict)
    if not isinstance(outcome, Retry):
        raise AssertionError(f"{ending} cannot lead to {outcome}")
    facts: dict[str, object] = {"attempt": delivery.attempt}
    if isinstance(delays, _Asked) and delays.trouble is not None:
        facts["retryStrategy"] = delays.trouble
    later = _later(outcome, delivery)
    if later:
        facts[NEXT] = later
    error = replace(outcome.error, meta={**outcome.error.meta, **facts})
    payload = _packed(context, error, verdict)
    if outcome.time_limit_ns is None and outcome.soft_time_limit_ns is None:
        return Report(Kind.RETRY, payload, outcome.delay_ns)
    limits = pack_limits(outcome.soft_time_limit_ns, outcome.time_limit_ns)
    return Report(Kind.RETRY_LIMITED, limits + payload, outcome.delay_ns)


def _exited(context: TaskContext, exc: BaseException) -> Report:
    """The handler tried to end the worker: never retried, for it would do it again."""
    error = _error_of(exc)
    if not isinstance(exc, SystemExit):
        if not error.message:  # as a KeyboardInterrupt has none
            message = f"the handler raised {error.type}, which is no Exception"
            error = replace(error, message=message)
        return _failed(context, error, type(exc).__name__)
    meta: dict[str, object] = {}
    if exc.code is None or isinstance(exc.code, int):
        meta["exitStatus"] = exc.code or 0
    message = f"the handler exited: sys.exit({exc.code!r})"
    error = replace(error, message=message, meta=meta)
    return _failed(context, error, "sys.exit")


def _failed(
    context: TaskContext, error: TaskError, reason: str, *, verdict: Reason = "raised"
) -> Report:
    meta = {"reason": reason, **error.meta, "attempt": context.attempt}
    error = replace(error, retryable=False, meta=meta)
    return Report(Kind.FAILED, _packed(context, error, verdict))


def _packed(context: TaskContext, error: TaskError, reason: Reason) -> bytes:
    """Return *error*, its verdict, and the meta that the handler had written."""
    facts = {VERDICT: _verdict(context, reason, error.meta.get("exitStatus"))}
    error = replace(error, meta={**error.meta, **facts})
    encoder = context.encoders.result
    try:
        return pack_failure(error, meta=context.written_meta, encoder=encoder)
    except Exception as refused:  # any object may be in there; the error comes first
        words = {**error.meta, "metaRefused": f"{type(refused).__name__}: {refused}"}
        return pack_failure(replace(error, meta=words), encoder=encoder)


def _verdict(
    context: TaskContext, reason: Reason, exit_status: object = None
) -> dict[str, object]:
    verdict = {"reason": reason, **context.runtime.facts()}
    if exit_status is not None:
        verdict["exitStatus"] = exit_status
    return verdict


def _later(outcome: Retry, delivery: Delivery) -> dict[str, object]:
    """
    Return what the next attempts must know that the head does not say; what an
    earlier attempt asked for is said again, for each error replaces the one before.
    """
    later: dict[str, object] = {}
    policy = outcome.policy
    if policy is None and delivery.load_policy is not None:
        policy = delivery.load_policy()
    if policy is not None:
        later["retryPolicy"] = policy.to_wire()
    if outcome.max_retries != delivery.head.max_retries:
        later["maxRetries"] = outcome.max_retries
    return later


def _policy(delivery: Delivery) -> TaskRetryPolicy | None:
    kept = None if delivery.load_policy is None else delivery.load_policy()
    return policy_of(delivery.head) if kept is None else kept


def _error_of(exc: BaseException) -> TaskError:
    return TaskError.from_exception(exc)


def _user_part(traceback: TracebackType | None) -> TracebackType | None:
    """Return *traceback* from the first frame on that is not of the engine."""
    first = traceback
    while first is not None:
        if first.tb_frame.f_globals.get("__name__") not in _OWN_MODULES:
            return first
        first = first.tb_next
    return traceback
