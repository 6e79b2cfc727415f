"""Limits: what the supervisor does when one has passed, or a start is to end."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from stem_actor.actor.supervisor.crew import Crew
from stem_actor.actor.tree.signals import LAST_WORDS_SIGNAL, SOFT_SIGNAL
from stem_actor.clock import Clock
from stem_actor.ring.core import Core, Event, EventType, Fault, SlotView, State
from stem_actor.ring.mailbox import Stop
from stem_actor.ring.native import Status, lib
from stem_actor.ring.record import SOFT_EVENT, unpack_record

__all__ = ["Limits", "Start"]

#: The last words go before the kill, when a crash of the dump changes nothing any more.
_LAST_WORDS_S: Final = 0.02
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
        """Kill the worker of *start*, 20 ms after it was asked for its last words."""
        member = self._crew.members[start.worker]
        if member.pidfd < 0:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(member.pidfd, LAST_WORDS_SIGNAL)
        self._loop.call_later(_LAST_WORDS_S, self._kill, start, fault, reason, limit_ns)

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
        rc = lib.sa_soft_send(
            member.ring.at, start.cell, member.pidfd, SOFT_SIGNAL, stop
        )
        return bool(rc == Status.OK)

    def _end_late(
        self, start: Start, fault: int, reason: str, limit_ns: int | None
    ) -> None:
        if self.is_running(start):
            self.end(start, fault, reason=reason, limit_ns=limit_ns)

    def _kill(
        self, start: Start, fault: int, reason: str, limit_ns: int | None
    ) -> None:
        """Kill, unless the start has ended in these 20 ms."""
        if self.is_running(start):
            self._crew.kill(
                self._crew.members[start.worker],
                fault,
                slot=start.slot,
                reason=reason,
                limit_ns=limit_ns,
            )


#: What a start is ended for that is no limit of its own.
_OURS: Final = frozenset({Fault.REVOKED, Fault.COLLATERAL})
