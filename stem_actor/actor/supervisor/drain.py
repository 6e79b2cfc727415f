"""Drain: how a supervisor stops without losing or doubling anything."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

import msgspec

from stem_actor.actor.supervisor.limits import Start
from stem_actor.actor.supervisor.station import Station
from stem_actor.ring.core import Fault, State
from stem_actor.ring.mailbox import Stop
from stem_actor.ring.native import Status, ffi, lib

__all__ = ["Drain"]

_LOOK_S: Final = 0.01
#: What SIGINT gives running tasks, and an owner at the end to take its outcomes.
_SOFT_NS: Final = 1_000_000_000
#: The longest that idle workers are given for their shutdown hooks.
_LEAVE_NS: Final = 5_000_000_000
_WAITING: Final = (State.READY, State.DELAYED, State.PARKED, State.HELD)
_REASON: Final = "stopped"
_STOPPED: Final = msgspec.msgpack.encode({"reason": _REASON})


class Drain:
    """
    1. offers nothing more and takes unstarted offers back;
    2. lets what runs finish until the deadline, then interrupts it as a soft limit
       does, and a second later ends it. Either is a start, and neither an attempt nor
       a crash: a named ring runs it again at the next start;
    3. an anonymous ring cancels what has not started, and waits until its owner has
       been told; a named one keeps it;
    4. has the workers run their shutdown hooks and leave;
    5. has the guardian end the tree.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._deadline_ns = 0
        self._began_ns = 0
        self._finished_before = 0
        self._interrupted: set[Start] = set()
        self._leave_ns = 0
        self._cancelled = 0
        self._is_patient = True
        self._done: list[Callable[[dict[str, object]], None]] = []
        self.is_stopping = False

    def begin(
        self, deadline_ns: int, done: Callable[[dict[str, object]], None] | None = None
    ) -> None:
        """Start to stop; *done* gets the report just before the end."""
        if done is not None:
            self._done.append(done)
        now = self._station.clock.monotonic_ns()
        self._is_patient = deadline_ns > 0
        if self.is_stopping:
            self._deadline_ns = min(self._deadline_ns, now + deadline_ns)
            return
        self.is_stopping = True
        self._station.crew.is_stopping = True
        for member in self._station.crew.live():
            self._station.crew.on_change(member, None)
        self._began_ns = now
        self._deadline_ns = now + deadline_ns
        self._finished_before = int(self._station.core.stats_row.finished)
        self._station.crew.quiet(drain=False)
        self._look()

    def on_signal(self, number: int) -> None:
        """SIGTERM drains; again, or SIGQUIT, ends now; SIGINT cuts the grace."""
        if number == signal.SIGQUIT or (number == signal.SIGTERM and self.is_stopping):
            self.begin(0)
        elif number == signal.SIGINT:
            self.begin(_SOFT_NS)
        elif number == signal.SIGTERM:
            self.begin(self._station.config.grace_ns)

    def _look(self) -> None:
        station = self._station
        station.pump()
        held = station.crew.quiet(drain=False)
        now = station.clock.monotonic_ns()
        if held and not self._is_patient:
            self._kill()
        elif held and now >= self._deadline_ns:
            self._interrupt()
        if held:
            station.loop.call_later(_LOOK_S, self._look)
            return
        if self._owed() and now < self._deadline_ns + _SOFT_NS:
            station.loop.call_later(_LOOK_S, self._look)
            return
        if station.config.is_anonymous and self._cancel_waiting():
            station.loop.call_later(_LOOK_S, self._look)
            return
        self._leave_ns = now + min(
            _LEAVE_NS, max(0, self._deadline_ns - now) + _SOFT_NS
        )
        station.crew.quiet(drain=True)
        self._let_leave()

    def _owed(self) -> int:
        """How many lost starts wait for a verdict that can come."""
        core, unkillable = self._station.core, self._station.crew.unkillable
        slots = map(core.slot, core.numbers_in(State.HELD))
        return sum(unkillable.holder_of(slot) is None for slot in slots)

    def _kill(self) -> None:
        """Now means now."""
        self._interrupted.update(self._station.limits.running())
        for member in self._station.crew.live():
            self._station.crew.kill(member, Fault.COLLATERAL, reason="drain")

    def _interrupt(self) -> None:
        limits = self._station.limits
        for start in limits.running():
            if start in self._interrupted:
                continue
            self._interrupted.add(start)
            limits.interrupt(
                start,
                Stop.DRAIN,
                grace_s=_SOFT_NS / 1e9,
                fault=Fault.COLLATERAL,
                reason="drain",
            )

    def _let_leave(self) -> None:
        """Workers run their shutdown hooks and exit; who takes too long is killed."""
        now = self._station.clock.monotonic_ns()
        if self._station.crew.live() and now < self._leave_ns:
            self._station.loop.call_later(_LOOK_S, self._let_leave)
            return
        self._finish(now)

    def _cancel_waiting(self) -> bool:
        """Cancel what has not started; True while an owner still has to be told."""
        core = self._station.core
        for number in core.numbers_in(State.DRIVEN):
            self._station.canvases.revoke(core.slot(number), _REASON)
            self._cancelled += 1
        payload = ffi.from_buffer(_STOPPED)
        for number in core.numbers_in(*_WAITING):
            gen = core.slot(number).gen
            rc = lib.sa_core_revoke(core.handle, number, gen, payload, len(_STOPPED))
            self._cancelled += rc == Status.OK
        self._station.pump()
        now = self._station.clock.monotonic_ns()
        stats = core.stats_row
        return int(stats.live) > 0 and now < self._deadline_ns + _SOFT_NS

    def _finish(self, now_ns: int) -> None:
        stats = self._station.core.stats()
        held = len(self._station.core.numbers_in(State.HELD))
        report: dict[str, object] = {
            "finished": stats["finished"] - self._finished_before,
            "cancelled": self._cancelled,
            "handedBack": min(len(self._interrupted), stats["ready"]),
            "unstarted": stats["ready"] + stats["delayed"] + stats["parked"] + held,
            "live": stats["live"],
            "durationNs": now_ns - self._began_ns,
        }
        for done in self._done:
            done(report)
        self._station.stop()
