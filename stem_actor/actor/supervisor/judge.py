"""The judge: what becomes of a task whose start was lost."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from stem_actor.actor.supervisor.cause import Cause
from stem_actor.actor.supervisor.revocation import revocation_in
from stem_actor.actor.tree.config import SupervisorConfig
from stem_actor.clock import Clock
from stem_actor.engine.head import meters_of, policy_of
from stem_actor.engine.wish import NO_WISH, Wish, wish_of
from stem_actor.model.ending import (
    Ending,
    Fail,
    Lost,
    OutOfMemory,
    Replay,
    Retry,
    TimedOut,
)
from stem_actor.model.error import TaskError
from stem_actor.model.verdict import VERDICT, Verdict
from stem_actor.payload.wire import pack_value
from stem_actor.policy.retry import Situation, decide
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy
from stem_actor.ring.core import Core, Fault, SlotView
from stem_actor.ring.native import Status, ffi, lib
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import (
    ACKS_EARLY,
    RECOVERY_RETRY,
    TaskHead,
    unpack_record,
)
from stem_actor.tasks.outcome import pack_cancellation, pack_failure

__all__ = ["Judge"]


class Judge:
    """Turns HELD slots into READY, DELAYED or FINISHED ones."""

    def __init__(self, core: Core, config: SupervisorConfig, clock: Clock) -> None:
        base_ns, max_ns = config.strategy
        self._core = core
        self._clock = clock
        self._strategy = ExponentialJitterRetryStrategy(
            base=base_ns / 1e9, max=max_ns / 1e9, seed=config.strategy_seed
        )
        self._seed = config.strategy_seed

    def judge(self, slot: SlotView, cause: Cause) -> bool:
        """
        Decide about *slot*, which is HELD; False if there was no room to say so, or
        not everything is known yet.

        The decision is pure (``policy.decide``); only its execution is here.
        """
        if slot.fault == Fault.REVOKED:
            return self._cancel(slot, cause)
        head = unpack_record(self._core.record(slot)).head
        ending = _ending(slot, head, cause, self._clock.wall_ns())
        wish = wish_of(self._core.outcome(slot)) if slot.attempt else NO_WISH
        policy = wish.load_policy() if wish.load_policy else policy_of(head)
        outcome = decide(ending, policy, self._situation(slot, head, wish))
        if isinstance(outcome, Replay):
            # At once: what it left is still being swept up, and is not waited for.
            told = pack_value(cause.verdict(slot).to_wire(), path="verdict")
            rc = lib.sa_core_release(
                self._core.handle, slot.number, slot.gen, told, len(told)
            )
            return self._done(rc)
        if not cause.is_whole(self._clock.monotonic_ns()):
            return False  # what it left is being swept up, and belongs in the record
        verdict = cause.verdict(slot)
        match outcome:
            case Retry():
                return self._retry(slot, outcome, _error(outcome.error, slot, verdict))
            case Fail():
                error = _error(outcome.error, slot, verdict, cause.reason)
                return self._settle(slot, Kind.FAILED, pack_failure(error), dead=True)
        raise AssertionError(f"no start is lost with {outcome!r}")

    def _cancel(self, slot: SlotView, cause: Cause) -> bool:
        """A start was revoked; however it has ended, its task is cancelled."""
        if not cause.is_whole(self._clock.monotonic_ns()):
            return False
        revocation = revocation_in(self._core.outcome(slot))
        verdict = cause.verdict(slot)
        if revocation.facts is not None:  # its worker could still say how it was
            # What it says may be anything, and is no reason not to cancel the task.
            with suppress(TypeError, ValueError):
                verdict = Verdict.from_wire({**revocation.facts, "reason": "revoked"})
        payload = pack_cancellation(
            revocation.reason, revocation.detail, verdict.to_wire()
        )
        return self._settle(slot, Kind.CANCELLED, payload, dead=False)

    def _retry(self, slot: SlotView, outcome: Retry, error: TaskError) -> bool:
        packed = pack_failure(error)
        rc = lib.sa_core_retry(
            self._core.handle,
            slot.number,
            slot.gen,
            outcome.delay_ns,
            packed,
            len(packed),
        )
        return self._done(rc)

    def _situation(self, slot: SlotView, head: TaskHead, wish: Wish) -> Situation:
        max_retries = wish.max_retries
        return Situation(
            attempt=slot.attempt,
            max_retries=head.max_retries if max_retries is None else max_retries,
            task_id=slot.task_id,
            now_wall_ns=self._clock.wall_ns(),
            crashes=slot.crashes,
            max_crashes=head.max_crashes,
            recovery_policy="retry" if head.flags & RECOVERY_RETRY else "replay",
            acks_late=not head.flags & ACKS_EARLY,
            strategy=self._strategy,
            seed=self._seed,
        )

    def _settle(self, slot: SlotView, kind: int, payload: bytes, *, dead: bool) -> bool:
        return self._done(
            lib.sa_core_settle_held(
                self._core.handle,
                slot.number,
                slot.gen,
                kind,
                ffi.from_buffer(payload),
                len(payload),
                int(dead),
            )
        )

    @staticmethod
    def _done(status: int) -> bool:
        # STALE: the slot went on without us (revoked meanwhile), which settles it.
        return status in (Status.OK, Status.STALE)


def _ending(slot: SlotView, head: TaskHead, cause: Cause, wall_ns: int) -> Ending:
    stack = cause.stack_of(slot)
    own_soft_ns, own_hard_ns = slot.own_limits_ns
    if slot.fault == Fault.HARD and 0 < head.deadline_ns <= wall_ns:
        return TimedOut("deadline", head.hard_ns, stack=stack)
    if slot.fault == Fault.HARD:
        return TimedOut("hard", own_hard_ns or head.hard_ns, stack=stack)
    if slot.fault == Fault.SOFT:
        return TimedOut("soft", own_soft_ns or head.soft_ns, stack=stack)
    if slot.fault == Fault.CPU:
        return TimedOut("cpu", meters_of(head)[1] or 0, stack=stack)
    if slot.fault == Fault.MEMORY and slot.number in cause.limits_ns:
        return OutOfMemory(meters_of(head)[0] or 0, stack=stack)
    lost: dict[int, Lost] = {
        Fault.MEMORY: Lost(reason="memory", signal=cause.signal, stack=stack),
        Fault.COLLATERAL: Lost(reason="collateral"),
    }
    return lost.get(slot.fault) or Lost(
        reason="crashed",
        signal=cause.signal,
        exit_status=cause.exit_status,
        oom=cause.oom,
        stack=stack,
    )


def _error(
    error: TaskError, slot: SlotView, verdict: Verdict, reason: str | None = None
) -> TaskError:
    """Return *error* with what is known of the start that it ends."""
    facts: dict[str, object] = {
        "reason": reason or verdict.reason,
        "attempt": slot.attempt,
        "starts": slot.starts,
        "crashes": slot.crashes,
    }
    meta = {**facts, **error.meta, VERDICT: verdict.to_wire()}
    return replace(error, meta={k: v for k, v in meta.items() if v is not None})
