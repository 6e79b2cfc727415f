"""Limits: what the supervisor does when one has passed, or a start is to end."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from stem_actor.actor.supervisor.crew import Crew
from stem_actor.actor.supervisor.member import Doom
from stem_actor.actor.tree.signals import LAST_WORDS_SIGNAL, SOFT_SIGNAL
from stem_actor.clock import Clock
from stem_actor.ring.core import Core, Event, EventType, Fault, SlotView, State
from stem_actor.ring.mailbox import Stop
from stem_actor.ring.native import Status, ffi, lib
from stem_actor.ring.record import SOFT_EVENT, unpack_record

__all__ = ["Limits", "Start"]

#: The last words go before the kill, when a crash of the dump changes nothing any more.
#: The kill waits until they are written, and no longer than the second.
_LOOK_S: Final = 0.001
_LAST_WORDS_NS: Final = 20_000_000
_LOW: Final = 0xFFFFFFFF


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_later(self, delay: float, callback: Any, *args: Any) -> object: ...


class Start(NamedTuple):
    """One start: where it runs, and the numbers that tell it from any other."""

    worker: int
    cell: int
    slot: int
    gen: int
    starts: int


class Limits:
    """
    Interrupts a start by a signal, ends it by a kill; the kill of a hard limit is
    preceded by the last words and by nothing else.
    """

    def __init__(self, core: Core, crew: Crew, clock: Clock, loop: Loop) -> None:
        self._core = core
        self._crew = crew
        self._clock = clock
        self._loop = loop
        self._name: Any = ffi.new("uint64_t *")

    def on_limit(self, event: Event) -> None:
        """Act on a time limit; the low half of ``event.a`` is the cell of its start."""
        cell, starts = event.a & _LOW, event.a >> 32
        start = self._start_in(event.worker, cell)
        meant = Start(event.worker, cell, event.slot, event.gen, starts)
        if start is None or start != meant:
            return  # it has ended; what runs there now is another
        if event.type == EventType.SOFT:
            member = self._crew.members[start.worker]
            member.past_soft[start.cell] = start.slot, start.starts + 1
            head = unpack_record(self._core.record(self._core.slot(start.slot))).head
            if not head.flags & SOFT_EVENT:
                self._send(start, Stop.SOFT)
            return
        limit_ns = self._clock.monotonic_ns() - event.b
        self.end(start, Fault.HARD, reason="hard", limit_ns=limit_ns)

    def start_of(self, slot: SlotView) -> Start | None:
        """Return the start that runs for *slot* now; None: nobody has taken it."""
        if slot.state != State.LEASED:
            return None
        for cell in self._crew.cells:
            start = self._start_in(slot.owner, cell)
            if start is not None and start.slot == slot.number:
                return start
        return None

    def running(self) -> list[Start]:
        """Return every start that runs now."""
        found = (
            self._start_in(member.index, cell)
            for member in self._crew.live()
            for cell in self._crew.cells
        )
        return [start for start in found if start is not None]

    def is_running(self, start: Start) -> bool:
        """Whether *start* has not ended yet, as far as its worker has said."""
        return self._start_in(start.worker, start.cell) == start

    def interrupt(
        self, start: Start, stop: int, *, grace_s: float, fault: int, reason: str
    ) -> None:
        """
        Ask *start* to stop, as at a soft limit; if it still runs after *grace_s*, end
        it for *fault*.
        """
        self._send(start, stop)
        limit_ns = None if fault in _OURS else self._clock.monotonic_ns()
        self._loop.call_later(grace_s, self._end_late, start, fault, reason, limit_ns)

    def end(
        self, start: Start, fault: int, *, reason: str, limit_ns: int | None = None
    ) -> None:
        """
        Kill the worker of *start* once its last words are written, 20 ms from now at
        most. Whatever the worker dies of meanwhile, it is for this.
        """
        member = self._crew.members[start.worker]
        if member.pidfd < 0:
            return
        member.doomed[start.cell] = Doom(start.slot, fault, reason)
        if limit_ns is not None:
            member.limits_ns[start.slot] = limit_ns
        member.is_signalled = True
        rc = lib.sa_words_ask(
            member.ring.at, start.cell, member.pidfd, LAST_WORDS_SIGNAL, self._name
        )
        # It runs nothing more: it ends now, or leaves after a dump while it lived.
        self._crew.recycle(member, reason)
        if rc in (Status.OK, Status.STALE):  # STALE: it has just died
            until_ns = self._clock.monotonic_ns() + _LAST_WORDS_NS
            self._loop.call_later(
                _LOOK_S, self._kill, start, int(self._name[0]), until_ns
            )

    # --- inside

    def _start_in(self, worker: int, cell: int) -> Start | None:
        running = self._core.running(worker, cell)
        if running is None:
            return None
        slot = self._core.slot(running[0])
        if slot.state != State.LEASED or slot.owner != worker:
            return None
        return Start(worker, cell, slot.number, slot.gen, slot.starts)

    def _send(self, start: Start, stop: int) -> bool:
        member = self._crew.members[start.worker]
        member.asked[start.cell] = start.slot, start.starts, stop
        member.is_signalled = True
        rc = lib.sa_soft_send(
            member.ring.at, start.cell, member.pidfd, SOFT_SIGNAL, stop
        )
        return bool(rc == Status.OK)

    def _end_late(
        self, start: Start, fault: int, reason: str, limit_ns: int | None
    ) -> None:
        if self.is_running(start):
            self.end(start, fault, reason=reason, limit_ns=limit_ns)

    def _kill(self, start: Start, name: int, until_ns: int) -> None:
        """Kill once the words called *name* are there, unless the start has ended."""
        member = self._crew.members[start.worker]
        if not self.is_running(start):
            doom = member.doomed.get(start.cell)
            # Of one that has died with it the record is still to be made.
            if doom is not None and doom.slot == start.slot and not member.is_buried:
                del member.doomed[start.cell]
                member.limits_ns.pop(start.slot, None)
            return
        is_said = lib.sa_words_said(member.ring.at) == name
        if not is_said and self._clock.monotonic_ns() < until_ns:
            self._loop.call_later(_LOOK_S, self._kill, start, name, until_ns)
            return
        doom = member.doomed[start.cell]
        self._crew.kill(member, doom.fault, slot=start.slot, reason=doom.reason)


#: What a start is ended for that is no limit of its own.
_OURS: Final = frozenset({Fault.REVOKED, Fault.COLLATERAL})
