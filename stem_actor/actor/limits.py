"""Limits: what the supervisor does when the core says that one has passed."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import psutil

from stem_actor.actor.config import SupervisorConfig
from stem_actor.actor.crew import Crew, Member
from stem_actor.clock import Clock
from stem_actor.ring.core import Core, Event, EventType, Fault, State
from stem_actor.ring.native import lib
from stem_actor.ring.record import SOFT_EVENT, unpack_record

__all__ = ["LAST_WORDS_SIGNAL", "SOFT_SIGNAL", "Limits"]

#: A real-time signal that libraries leave alone; SIGALRM and SIGUSR1/2 are users'.
SOFT_SIGNAL: Final = int(signal.SIGRTMIN) + 3
#: Has the interpreter write every thread's stack to the worker's last words.
LAST_WORDS_SIGNAL: Final = int(signal.SIGRTMIN) + 4
#: That goes before the hard kill, when a crash of the dump changes nothing any more.
_LAST_WORDS_S: Final = 0.02
_SAMPLE_S: Final = 0.25
_ZOMBIES_MAX: Final = 100


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
        self._has_marks = bool(
            config.soft_memory or config.hard_memory or config.max_tasks
        )
        loop.call_later(_SAMPLE_S, self._sample)
        loop.call_later(4 * _SAMPLE_S, self._count_zombies)

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
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(member.pidfd, LAST_WORDS_SIGNAL)
        self._loop.call_later(_LAST_WORDS_S, self._end, event, slot.starts)

    def _end(self, event: Event, starts: int) -> None:
        """Kill for a hard limit, unless the start has ended in these 20 ms."""
        slot = self._core.slot(event.slot)
        running = self._core.running(event.worker, event.a)
        if (slot.gen, slot.starts, slot.state) != (event.gen, starts, State.LEASED):
            return
        if running is None or running[0] != event.slot:
            return
        self._crew.kill(
            self._crew.members[event.worker],
            Fault.HARD,
            slot=event.slot,
            reason="hard",
            late_ns=event.b + int(_LAST_WORDS_S * 1e9),
        )

    def _sample(self) -> None:
        """Look at memory and task count of each worker, four times a second."""
        if not self._has_marks:
            return
        self._loop.call_later(_SAMPLE_S, self._sample)
        for member in self._crew.live():
            self._look_at(member)

    def _count_zombies(self) -> None:
        """A worker reaps for its grandchildren; one that does not is replaced."""
        self._loop.call_later(4 * _SAMPLE_S, self._count_zombies)
        for member in self._crew.live():
            children = _children_of(member.pid)
            if len(children) > _ZOMBIES_MAX and _zombies_in(children) > _ZOMBIES_MAX:
                self._crew.recycle(member)

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
        except (psutil.Error, OSError):  # dead, or no descriptor to look with
            return
        if self._config.hard_memory and rss > self._config.hard_memory:
            self._crew.kill(member, Fault.MEMORY, reason="memory")
        elif self._config.soft_memory and rss > self._config.soft_memory:
            self._crew.recycle(member)


def _children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _zombies_in(pids: list[int]) -> int:
    count = 0
    for pid in pids:
        with suppress(psutil.Error, OSError):
            count += psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return count
