"""Meters: memory and processor time of workers, against marks and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stem_actor.actor.supervisor.crew import Crew
from stem_actor.actor.supervisor.limits import Limits, Loop, Start
from stem_actor.actor.supervisor.member import Member
from stem_actor.actor.tree.config import SupervisorConfig
from stem_actor.actor.tree.processes import (
    Footprint,
    children_of,
    family_of,
    footprint_of,
    pss_of,
    state_of,
)
from stem_actor.clock import Clock
from stem_actor.engine.head import meters_of
from stem_actor.ring.core import Core, Event, Fault, State
from stem_actor.ring.native import ffi, lib
from stem_actor.ring.record import unpack_record

__all__ = ["Meters"]

#: How often a start with a limit of its own is looked at: a process that writes to new
#: pages as fast as it can gets about 2 GB a second.
_LIMIT_S: Final = 0.02
#: The same for a worker under the marks of the pool.
_MARK_S: Final = 0.05
_COUNT_S: Final = 1.0
_ZOMBIES_MAX: Final = 100


@dataclass(slots=True)
class _Metered:
    """
    A start with limits of its own.

    Attributes:
        start: Which it is.
        memory: Bytes that its worker and what it has begun may take; None: any.
        cpu_ns: Processor time that they may take; None: any.
        before: What each child had used when it was first looked at, such as one of a
            pool that a module keeps; None: it was not yet.
    """

    start: Start
    memory: int | None
    cpu_ns: int | None
    before: dict[int, int] | None = None

    def spent_by(self, children: Mapping[int, Footprint]) -> int:
        """Processor time of *children* that nobody has waited for, in nanoseconds."""
        before = self.before or {}
        return sum(it.cpu_ns - before.get(pid, 0) for pid, it in children.items())


def _footprints(pids: list[int]) -> dict[int, Footprint]:
    found = ((pid, footprint_of(pid)) for pid in pids)
    return {pid: it for pid, it in found if it is not None}


def _is_over(
    limit: int, pid: int, own: Footprint, children: Mapping[int, Footprint]
) -> bool:
    """Whether a worker is over *limit*, in bytes, by itself or with its children."""
    if own.rss > limit:
        return True
    if own.rss + sum(it.rss for it in children.values()) <= limit:
        return False
    # Forked children share most of their pages: each counts once.
    return sum(pss_of(it) or 0 for it in (pid, *children)) > limit


class Meters:
    """
    Looks at processes from outside, so that nothing in them can stop it.

    A limit of a task ends that start; it is measured only while one runs. The soft mark
    of the pool recycles a worker, its hard mark kills it.
    """

    def __init__(
        self,
        core: Core,
        crew: Crew,
        limits: Limits,
        config: SupervisorConfig,
        clock: Clock,
        loop: Loop,
    ) -> None:
        self._core = core
        self._crew = crew
        self._limits = limits
        self._config = config
        self._clock = clock
        self._loop = loop
        #: Starts with limits of their own: bytes, and nanoseconds of processor time.
        self._metered: dict[tuple[int, int], _Metered] = {}
        self._is_looking = False
        self._used: Any = ffi.new("struct sa_usage *")
        if config.soft_memory or config.hard_memory or config.max_tasks:
            loop.call_later(_MARK_S, self._look_at_marks)
        loop.call_later(_COUNT_S, self._count_zombies)

    def on_offered(self, event: Event) -> None:
        """A task with limits of its own was offered to cell ``event.a``."""
        slot = self._core.slot(event.slot)
        if slot.gen != event.gen or slot.state != State.LEASED:
            return
        memory, cpu_ns = meters_of(unpack_record(self._core.record(slot)).head)
        start = Start(event.worker, event.a, slot.number, slot.gen, slot.starts)
        metered = _Metered(start, memory, cpu_ns)
        self._metered[start.worker, start.cell] = metered
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(_LIMIT_S, self._look_at_limits)

    # --- inside

    def _look_at_limits(self) -> None:
        for key, metered in list(self._metered.items()):
            start = metered.start
            slot = self._core.slot(start.slot)
            if (slot.gen, slot.starts, slot.state) != (*start[3:], State.LEASED):
                del self._metered[key]
            elif self._limits.is_running(start):
                self._measure(metered)
        self._is_looking = bool(self._metered)
        if self._is_looking:
            self._loop.call_later(_LIMIT_S, self._look_at_limits)

    def _measure(self, metered: _Metered) -> None:
        start, memory, cpu_ns = metered.start, metered.memory, metered.cpu_ns
        member = self._crew.members[start.worker]
        footprint = footprint_of(member.pid)
        if footprint is None or member.kill_ns:
            return
        children = _footprints(family_of(member.pid))
        if metered.before is None:
            metered.before = {pid: it.cpu_ns for pid, it in children.items()}
        if memory is not None and _is_over(memory, member.pid, footprint, children):
            now = self._clock.monotonic_ns()
            self._crew.kill(
                member, Fault.MEMORY, slot=start.slot, reason="memory", limit_ns=now
            )
        elif cpu_ns is not None:
            lib.sa_worker_used(member.ring.at, self._used)
            spent_ns = footprint.cpu_ns - int(self._used.cpu_ns)
            over_ns = spent_ns + metered.spent_by(children) - cpu_ns
            if over_ns > 0:
                limit_ns = self._clock.monotonic_ns() - over_ns
                self._limits.end(start, Fault.CPU, reason="cpu", limit_ns=limit_ns)

    def _look_at_marks(self) -> None:
        self._loop.call_later(_MARK_S, self._look_at_marks)
        for member in self._crew.live():
            self._look_at(member)

    def _look_at(self, member: Member) -> None:
        config = self._config
        row = self._core.worker_rows[member.index]
        done = int(row.finished) - member.born_finished
        if config.max_tasks and done >= config.max_tasks:
            self._crew.recycle(member, "tasks")
            return
        if not config.soft_memory and not config.hard_memory:
            return
        footprint = footprint_of(member.pid)
        if footprint is None:
            return
        if config.hard_memory and footprint.rss > config.hard_memory:
            self._crew.kill(member, Fault.MEMORY, reason="memory")
        elif config.soft_memory and footprint.rss > config.soft_memory:
            self._crew.recycle(member, "memory")

    def _count_zombies(self) -> None:
        """A worker reaps for its grandchildren; one that does not is replaced."""
        self._loop.call_later(_COUNT_S, self._count_zombies)
        for member in self._crew.live():
            children = children_of(member.pid)
            if len(children) <= _ZOMBIES_MAX:
                continue
            if sum(state_of(child) == "Z" for child in children) > _ZOMBIES_MAX:
                self._crew.recycle(member, "zombies")
