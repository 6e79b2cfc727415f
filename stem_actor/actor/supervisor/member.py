"""Member: one worker index, and the process that lives under it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from stem_actor.ring.core import NO_SLOT, Fault
from stem_actor.ring.segment import Segment

__all__ = ["Doom", "Member", "Phase"]


class Phase(StrEnum):
    """Where the process of a member is between its birth and its burial."""

    ABSENT = "absent"
    ASKED = "asked"
    LIVE = "live"
    DYING = "dying"


class Doom(NamedTuple):
    """
    What a start is about to be killed for.

    Attributes:
        slot: Its slot.
        fault: A ``Fault``.
        reason: A word for the record.
    """

    slot: int
    fault: int
    reason: str


@dataclass(slots=True)
class Member:
    """
    One worker index and the process that lives under it.

    Attributes:
        is_buried: Whether the core has been told of its death.
        is_leaving: Whether it gets no more tasks.
        leaving_for: Why, in a word.
        kill_ns: Monotonic time at which it was killed; 0: it was not.
        kill_fault: The ``Fault`` of the start that it was killed for.
        kill_slot: The slot of that start; ``NO_SLOT``: of all.
        kill_reason: A word for the record.
        descendants: Its processes when it was killed.
        stuck_since_ns: Wall time of the kill that it has outlived; 0: there is none.
        held: Slot and generation of each start that its death has cost.
        began_ns: When each slot that it ran at its death was started.
        past_soft: By cell, slot and number of the last start past its soft limit.
        asked: By cell, slot, number and ``Stop`` of the last start that was signalled.
        doomed: By cell, what starts are about to be killed for.
        is_signalled: Whether a signal of ours may be what it dies of.
        limits_ns: By slot, when the limit had passed that a start is ended for.
    """

    index: int
    ring: Segment
    wake_fd: int
    phase: Phase = Phase.ABSENT
    pid: int = 0
    pidfd: int = -1
    incarnation: int = 0
    is_spare: bool = False
    is_buried: bool = True
    is_leaving: bool = False
    leaving_for: str | None = None
    asked_ns: int = 0
    born_ns: int = 0
    born_finished: int = 0
    kill_ns: int = 0
    kill_fault: int = Fault.NONE
    kill_slot: int = NO_SLOT
    kill_reason: str | None = None
    descendants: tuple[str, ...] = ()
    stuck_since_ns: int = 0
    held: list[tuple[int, int]] = field(default_factory=list)
    began_ns: dict[int, int] = field(default_factory=dict)
    past_soft: dict[int, tuple[int, int]] = field(default_factory=dict)
    asked: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    doomed: dict[int, Doom] = field(default_factory=dict)
    is_signalled: bool = False
    limits_ns: dict[int, int] = field(default_factory=dict)

    def forget_kill(self) -> None:
        """A fresh process is about to live here."""
        self.is_buried = False
        self.is_leaving, self.leaving_for = False, None
        self.kill_ns = 0
        self.kill_fault, self.kill_slot = Fault.NONE, NO_SLOT
        self.kill_reason = None
        self.descendants = ()
        self.past_soft.clear()
        self.asked.clear()
        self.doomed.clear()
        self.limits_ns.clear()
        self.is_signalled = False
