"""Cause: how the worker under a lost start came to its end, and what it had used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stem_actor.actor.worker.last_words import NO_WORDS, Words
from stem_actor.model.verdict import Reason, Verdict
from stem_actor.ring.core import Fault, SlotView
from stem_actor.ring.native import lib

__all__ = ["SWEEP_NS", "Cause"]

#: The longest that a verdict waits for the guardian to have swept up.
SWEEP_NS: Final = 100_000_000

_REASONS: Final[Mapping[int, Reason]] = {
    Fault.CRASH: "crashed",
    Fault.COLLATERAL: "collateral",
    Fault.HARD: "hard",
    Fault.MEMORY: "memory",
    Fault.CPU: "cpu",
    Fault.SOFT: "soft",
    Fault.REVOKED: "revoked",
    Fault.CORRUPT: "lost",
}


@dataclass(slots=True, kw_only=True)
class Cause:
    """
    One death. Times are monotonic nanoseconds; what is not known is None.

    Attributes:
        is_known: False: it happened before this supervisor was there.
        signal: Number of the signal that ended the worker.
        exit_status: Its exit status, if it exited.
        oom: Whether the kernel killed it for want of memory.
        words: Its last words.
        reason: Why we killed it, in a word for the record.
        worker: Its index.
        pid: Its process.
        cpu_ns: Processor time since the last start, ours and the kernel's.
        peak_rss: Bytes.
        minor_faults: Of the last start.
        major_faults: Of the last start.
        began_ns: When each slot that it ran was started.
        past_soft: Slot and number of starts whose soft limit had passed.
        ended_ns: When it was found dead.
        limits_ns: By slot, when the limit of a start had passed.
        descendants: Its processes when we killed it.
        swept: How many of them the guardian has killed; None: it has not said yet.
    """

    is_known: bool = True
    signal: int | None = None
    exit_status: int | None = None
    oom: bool = False
    words: Words = NO_WORDS
    reason: str | None = None
    worker: int | None = None
    pid: int | None = None
    cpu_ns: int | None = None
    peak_rss: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    began_ns: dict[int, int] = field(default_factory=dict)
    past_soft: frozenset[tuple[int, int]] = frozenset()
    ended_ns: int = 0
    limits_ns: Mapping[int, int] = field(default_factory=dict)
    descendants: tuple[str, ...] = ()
    swept: int | None = 0

    def stack_of(self, slot: SlotView) -> str | None:
        """Every thread at the end of a start, if the worker could still say so."""
        name = lib.sa_words_name(slot.number, slot.gen, slot.starts)
        return self.words.last.get(int(name).to_bytes(8)) or self.words.end

    def is_whole(self, now_ns: int) -> bool:
        """Whether everything is known that will be known of this death."""
        return self.swept is not None or now_ns - self.ended_ns >= SWEEP_NS

    def verdict(self, slot: SlotView) -> Verdict:
        """Return the verdict on the start of *slot*, which is HELD."""
        # Whoever ended it, and knows, a revoked start was ended for that.
        is_told = self.is_known or slot.fault == Fault.REVOKED
        reason = _REASONS.get(slot.fault, "lost") if is_told else "lost"
        soft = self.words.soft.get(slot.task_id + slot.starts.to_bytes(4))
        began = self.began_ns.get(slot.number)
        limit_ns = self.limits_ns.get(slot.number)
        late = None if limit_ns is None else self.ended_ns - limit_ns
        return Verdict(
            reason=reason,
            # C code that never returned to Python has left no stack of it.
            soft_exceeded=bool(soft) or (slot.number, slot.starts) in self.past_soft,
            signal=self.signal,
            exit_status=self.exit_status,
            oom=self.oom,
            wall_s=None if began is None else (self.ended_ns - began) / 1e9,
            cpu_s=None if self.cpu_ns is None else self.cpu_ns / 1e9,
            peak_rss=self.peak_rss,
            minor_faults=self.minor_faults,
            major_faults=self.major_faults,
            late_s=None if late is None else late / 1e9,
            soft_stack=soft,
            descendants=self.descendants,
            swept=self.swept or 0,
            worker=self.worker,
            pid=self.pid,
        )
