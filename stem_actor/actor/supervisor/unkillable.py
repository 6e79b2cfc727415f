"""Unkillable: workers that live on after their kill, and the starts they keep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from stem_actor.actor.supervisor.member import Member
from stem_actor.clock import Clock
from stem_actor.ring.core import Core, SlotView, State

__all__ = ["DEATH_S", "Unkillable"]

#: A process that is not dead so long after its kill waits within the kernel.
DEATH_S: Final = 2.0


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object
    ) -> object: ...


class Unkillable:
    """
    A kill takes effect when the process next runs code of its own. One that waits
    within the kernel, for a disk or a server that does not answer (state D), lives on
    until that wait ends; then it dies before its next instruction.

    Until then its call may still have its effect, so what it had started is neither
    judged nor run again. A spare has its place; its index has no other process.
    """

    def __init__(self, core: Core, clock: Clock, loop: Loop) -> None:
        self._core = core
        self._clock = clock
        self._loop = loop
        self._stuck: dict[int, Member] = {}
        #: Starts that an earlier supervisor had granted, by slot and generation: the
        #: workers of which one has it.
        self._kept: dict[tuple[int, int], set[int]] = {}

    def expect_death(self, member: Member) -> None:
        """*member* has just been killed."""
        wall_ns = self._clock.wall_ns()
        self._loop.call_later(DEATH_S, self._look, member, member.pid, wall_ns)

    def adopt(self, member: Member, slots: list[SlotView]) -> None:
        """*member*, of an earlier supervisor, may still be at a start of *slots*."""
        self._mark(member, self._clock.wall_ns())
        for slot in slots:
            self._kept.setdefault((slot.number, slot.gen), set()).add(member.index)

    def forget(self, member: Member) -> None:
        """*member* has died after all."""
        member.stuck_since_ns = 0
        if self._stuck.pop(member.index, None) is not None and not self._stuck:
            self._kept.clear()

    def holder_of(self, slot: SlotView) -> int | None:
        """Return the pid of the unkillable worker that keeps the start of *slot*."""
        keepers: set[int] = set()
        if slot.state == State.HELD:
            keepers = self._kept.get((slot.number, slot.gen), keepers)
        elif slot.state == State.LEASED:
            keepers = {slot.owner}
        stuck = (self._stuck[it].pid for it in keepers if it in self._stuck)
        return next(stuck, None)

    def problems(self) -> list[str]:
        """Return one line for each of them."""
        return [
            f"worker process {member.pid} was killed at "
            f"{datetime.fromtimestamp(member.stuck_since_ns / 1e9, UTC):%FT%TZ} and "
            "does not die: it waits within the kernel (state D), as a rule for a disk "
            "or a file server; its tasks wait for its end"
            for member in self._stuck.values()
        ]

    # --- inside

    def _look(self, member: Member, pid: int, wall_ns: int) -> None:
        if member.pid == pid and not member.is_buried:
            self._mark(member, wall_ns)

    def _mark(self, member: Member, wall_ns: int) -> None:
        member.stuck_since_ns = wall_ns
        self._stuck[member.index] = member
