"""The judge: what becomes of a task whose start was lost."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Final

import msgspec

from stem_actor.actor.config import SupervisorConfig
from stem_actor.clock import Clock
from stem_actor.engine.head import policy_of
from stem_actor.engine.wish import NO_WISH, Wish, wish_of
from stem_actor.model.ending import (
    Cancel,
    Ending,
    Fail,
    Lost,
    Replay,
    Retry,
    Revoked,
    TimedOut,
)
from stem_actor.model.error import TaskError
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

__all__ = ["Cause", "Judge"]

_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """
    How the worker under a lost start came to its end.

    Attributes:
        signal: Number of the signal that ended it.
        exit_status: Its exit status, if it exited.
        stack: Its last words.
        worker: Its index and pid, for the record.
        late_ns: For a limit: how long after the limit it was found.
    """

    signal: int | None = None
    exit_status: int | None = None
    oom: bool = False
    stack: str | None = None
    reason: str | None = None
    worker: dict[str, object] = field(default_factory=dict)
    late_ns: int = 0


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
        Decide about *slot*, which is HELD; False if there was no room to say so.

        The decision is pure (``policy.decide``); only its execution is here.
        """
        head = unpack_record(self._core.record(slot)).head
        ending = _ending(slot, head, cause)
        wish = wish_of(self._core.outcome(slot)) if slot.attempt else NO_WISH
        policy = wish.load_policy() if wish.load_policy else policy_of(head)
        outcome = decide(ending, policy, self._situation(slot, head, wish))
        handle = self._core.handle
        match outcome:
            case Replay():
                return self._done(lib.sa_core_release(handle, slot.number, slot.gen))
            case Retry():
                error = _pack_error(outcome.error, slot, cause)
                return self._done(
                    lib.sa_core_retry(
                        handle,
                        slot.number,
                        slot.gen,
                        outcome.delay_ns,
                        error,
                        len(error),
                    )
                )
            case Fail():
                reason = cause.reason or _REASONS.get(slot.fault, "crashed")
                error = _pack_error(outcome.error, slot, cause, reason=reason)
                return self._settle(slot, Kind.FAILED, error, dead=True)
            case Cancel():
                payload = _encode({"reason": outcome.reason})
                return self._settle(slot, Kind.CANCELLED, payload, dead=False)
        raise AssertionError(f"no start is lost with {outcome!r}")

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


_REASONS: Final = {
    Fault.CRASH: "crashed",
    Fault.COLLATERAL: "collateral",
    Fault.HARD: "hard",
    Fault.MEMORY: "memory",
    Fault.CORRUPT: "crashed",
}


def _ending(slot: SlotView, head: TaskHead, cause: Cause) -> Ending:
    if slot.fault == Fault.HARD:
        return TimedOut("hard", head.hard_ns, stack=cause.stack)
    if slot.fault == Fault.REVOKED:
        return Revoked(cause.reason or "revoked")
    lost: dict[int, Lost] = {
        Fault.MEMORY: Lost(reason="memory", signal=cause.signal, stack=cause.stack),
        Fault.COLLATERAL: Lost(reason="collateral"),
    }
    return lost.get(slot.fault) or Lost(
        reason="crashed",
        signal=cause.signal,
        exit_status=cause.exit_status,
        oom=cause.oom,
        stack=cause.stack,
    )


def _pack_error(
    error: TaskError, slot: SlotView, cause: Cause, *, reason: str | None = None
) -> bytes:
    wire = error.to_wire()
    meta: dict[str, object] = {
        "reason": reason or _REASONS.get(slot.fault, "crashed"),
        "attempt": slot.attempt,
        "starts": slot.starts,
        "crashes": slot.crashes,
        **cause.worker,
        **error.meta,
    }
    if cause.signal is not None:
        meta["signal"] = cause.signal
        meta["signalName"] = _signal_name(cause.signal)
    if cause.exit_status is not None:
        meta["exitStatus"] = cause.exit_status
    if cause.oom:
        meta["oom"] = True
    if cause.late_ns:
        meta["lateMs"] = round(cause.late_ns / 1e6, 3)
    wire["meta"] = meta
    if cause.stack and not wire.get("stack"):
        wire["stack"] = cause.stack
    return _encode(wire)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
