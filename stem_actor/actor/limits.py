"""Limits: what the supervisor does when the core says that one has passed."""

from __future__ import annotations

import signal
from typing import Any, Final, Protocol

import psutil

from stem_actor.actor.config import SupervisorConfig
from stem_actor.actor.crew import Crew, Member
from stem_actor.clock import Clock
from stem_actor.ring.core import Core, Event, EventType, Fault, State
from stem_actor.ring.native import lib
from stem_actor.ring.record import SOFT_EVENT, unpack_record

__all__ = ["SOFT_SIGNAL", "Limits"]

#: A real-time signal that libraries leave alone; SIGALRM and SIGUSR1/2 are users'.
SOFT_SIGNAL: Final = int(signal.SIGRTMIN) + 3
_SAMPLE_S: Final = 0.25
#: Sent this long before the hard kill, so that the last words can be written.
_LAST_WORDS_S: Final = 0.02


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_later(self, delay: float, callback: Any, *args: Any) -> object: ...


class Limits:
    """Soft signal, hard kill, memory marks."""

    def __init__(
        self,
        core: Core,
        crew: Crew,
        config: SupervisorConfig,
        clock: Clock,
        loop: Loop,
    ) -> None:
        self._core = core
        self._crew = crew
        self._config = config
        self._clock = clock
        self._loop = loop
        if config.soft_memory or config.hard_memory or config.max_tasks:
            loop.call_later(_SAMPLE_S, self._sample)

    def on_limit(self, event: Event) -> None:
        """Act on a limit of the start in cell ``event.a`` of a worker."""
        member = self._crew.members[event.worker]
        slot = self._core.slot(event.slot)
        if slot.gen != event.gen or slot.state != State.LEASED:
            return
        running = self._core.running(event.worker, event.a)
        if running is None or running[0] != event.slot or member.pidfd < 0:
            return
        if event.type == EventType.SOFT:
            head = unpack_record(self._core.record(slot)).head
            if not head.flags & SOFT_EVENT:
                lib.sa_soft_send(member.ring.at, event.a, member.pidfd, SOFT_SIGNAL)
            return
        self._crew.kill(
            member, Fault.HARD, slot=event.slot, reason="hard", late_ns=event.b
        )

    def _sample(self) -> None:
        """Look at the memory and the task count of each worker, four times a second."""
        self._loop.call_later(_SAMPLE_S, self._sample)
        for member in self._crew.live():
            self._look_at(member)

    def _look_at(self, member: Member) -> None:
        row = self._core.worker_rows[member.index]
        done = int(row.finished) - member.born_finished
        if self._config.max_tasks and done >= self._config.max_tasks:
            self._crew.recycle(member)
            return
        if not self._config.soft_memory and not self._config.hard_memory:
            return
        try:
            rss = psutil.Process(member.pid).memory_info().rss
        except psutil.Error:
            return
        if self._config.hard_memory and rss > self._config.hard_memory:
            self._crew.kill(member, Fault.MEMORY, reason="memory")
        elif self._config.soft_memory and rss > self._config.soft_memory:
            self._crew.recycle(member)
