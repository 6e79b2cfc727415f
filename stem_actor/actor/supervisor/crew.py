"""The crew: the supervisor's view of its workers, from birth to burial."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from stem_actor.actor.supervisor.autopsy import Autopsy
from stem_actor.actor.supervisor.cause import SWEEP_NS, Cause
from stem_actor.actor.supervisor.fence import born_at, fence
from stem_actor.actor.supervisor.member import Member, Phase
from stem_actor.actor.supervisor.restart_budget import RestartBudget
from stem_actor.actor.supervisor.unkillable import DEATH_S, Unkillable
from stem_actor.actor.supervisor.worker_ring import open_worker_ring
from stem_actor.actor.tree import verbs
from stem_actor.actor.tree.config import SupervisorConfig
from stem_actor.actor.tree.processes import descendants_of
from stem_actor.actor.tree.verbs import Message, Verb
from stem_actor.clock import Clock
from stem_actor.ring.core import NO_SLOT, Core, Fault, State
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.native import Status, lib, raise_for
from stem_actor.ring.segment import Segment

__all__ = ["Crew"]

#: Worker rows in the core segment, ``SA_WORKERS_MAX``.
_ROWS: Final = 1024
_SETTLE_S: Final = 0.05
#: Where the number of cells stands in the head of a ring file.
_CELLS_AT: Final = 12


class Loop(Protocol):
    """The part of an event loop that the crew needs."""

    def add_reader(
        self, fd: int, callback: Callable[..., object], *args: object
    ) -> None: ...
    def remove_reader(self, fd: int) -> object: ...
    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object
    ) -> object: ...


class Crew:
    """
    Keeps ``workers`` members taking tasks and one spare beside them.

    The guardian makes and reaps processes; the crew asks, watches pidfds, and tells
    the core. A death is acted on by whichever comes first, pidfd or DIED message;
    the verdict on what was running waits for the message, which has the status.
    """

    def __init__(
        self,
        core: Core,
        config: SupervisorConfig,
        directory: RingDirectory,
        guardian: socket.socket,
        clock: Clock,
        loop: Loop,
        *,
        claim: Callable[[Member], None],
        on_death: Callable[[Member, Cause], None],
    ) -> None:
        self._core = core
        self._config = config
        self._directory = directory
        self._guardian = guardian
        self._clock = clock
        self._loop = loop
        self._claim = claim
        self._on_death = on_death
        self._budget = RestartBudget()
        self._autopsy = Autopsy(directory, clock)
        self.unkillable = Unkillable(core, clock, loop)
        self._unswept: dict[int, Cause] = {}
        self.is_stopping = False
        self.paused_until_ns = 0
        self.last_error: str | None = None
        self.members: list[Member] = []
        self._retired: list[Segment] = []  # mapped for as long as the core lives
        #: Told of each birth, each end of use, and of each death with its cause.
        self.on_change: Callable[[Member, Cause | None], None] = lambda *_: None

    @property
    def count_max(self) -> int:
        return self._config.workers + 1

    @property
    def cells(self) -> range:
        """The grant cells that each worker has."""
        return range(self._config.cells)

    def open_rings(self) -> None:
        """
        Create or open each worker's ring and attach it, before recovery.

        So is the ring of an index that no worker has any more: the outcomes and the
        children that its last one committed count like all others. Its file stays, as
        slots may name positions in it.
        """
        stuck = self._fence()
        for index in range(self._core.workers_max):
            path = self._directory.worker_ring(index)
            ring = open_worker_ring(path, index, self._core, cells=self._config.cells)
            # A ring that was made for fewer coroutines takes as many as it has cells
            # for; its size cannot change while slots refer to it.
            (cells,) = struct.unpack("<I", ring.read(_CELLS_AT, 4))
            at_once = max(1, min(self._config.concurrency, cells // 2))
            rc = lib.sa_core_attach_worker(
                self._core.handle, index, ring.at, ring.size, at_once
            )
            raise_for(rc, f"attaching {path}")
            if index >= self.count_max:
                self._retired.append(ring)
                continue
            wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self.members.append(Member(index, ring, wake))
        for index, pidfd in stuck.items():
            self._adopt(index, pidfd)

    def start(self) -> None:
        """Ask for every worker; the last index is the first spare."""
        self.members[-1].is_spare = True
        for member in self.members:
            self.ask(member)

    def ask(self, member: Member) -> None:
        """Ask the guardian for a process under *member*."""
        if self.is_stopping or member.phase is not Phase.ABSENT:
            return
        wait_ns = self.paused_until_ns - self._clock.monotonic_ns()
        if wait_ns > 0:
            self._loop.call_later(wait_ns / 1e9, self.ask, member)
            return
        row = self._core.worker_rows[member.index]
        member.incarnation = int(row.incarnation) + 1
        row.incarnation = member.incarnation
        rc = lib.sa_core_worker_live(
            self._core.handle, member.index, member.incarnation, 1, member.wake_fd
        )
        if rc == Status.STALE:  # what its predecessor held is not settled yet
            self._loop.call_later(_SETTLE_S, self.ask, member)
            return
        raise_for(rc, f"preparing worker {member.index}")
        member.phase = Phase.ASKED
        member.asked_ns = self._clock.monotonic_ns()
        member.forget_kill()
        with suppress(FileNotFoundError):
            self._directory.last_words(member.index).unlink()
        message = Message(
            Verb.FORK,
            worker=member.index,
            epoch=self._core.epoch,
            incarnation=member.incarnation,
        )
        verbs.send(self._guardian, message, fd=member.wake_fd)

    # --- what the guardian says

    def on_born(self, message: Message) -> None:
        member = self.members[message.worker]
        if message.incarnation != member.incarnation or member.phase is not Phase.ASKED:
            return
        if not message.pid:
            member.phase = Phase.ABSENT
            lib.sa_core_worker_died(
                self._core.handle, member.index, Fault.COLLATERAL, NO_SLOT
            )
            self._loop.call_later(0.05, self.ask, member)
            return
        # The guardian reaps it only after WATCHING: the pid is surely this process.
        try:
            born, pidfd = born_at(message.pid), os.pidfd_open(message.pid)
        except OSError:  # out of descriptors: the worker waits, unwatched and idle
            self._loop.call_later(_SETTLE_S, self.on_born, message)
            return
        member.pid, member.pidfd = message.pid, pidfd
        verbs.send(self._guardian, Message(Verb.WATCHING, pid=message.pid))
        member.phase = Phase.LIVE
        member.is_spare = True
        member.born_ns = self._clock.monotonic_ns()
        row = self._core.worker_rows[member.index]
        row.pid_start = born
        row.pid, row.state, row.epoch = message.pid, 1, self._core.epoch
        member.born_finished = int(row.finished)
        self._loop.add_reader(member.pidfd, self._on_pidfd, member)
        self._balance()
        self.on_change(member, None)
        lib.sa_core_unpark(self._core.handle)

    def on_died(self, message: Message) -> None:
        member = self.members[message.worker]
        if message.pid != member.pid or message.incarnation != member.incarnation:
            return
        self._bury(member, message.value)
        cause = self._autopsy.cause_of(member, message)
        had_task = bool(member.held)
        self._unswept[member.pid] = cause
        self._loop.call_later(SWEEP_NS / 1e9, self._give_up_on_sweep, member.pid)
        self._part_with(member, cause)
        is_excused = self.is_stopping or self._autopsy.is_excused(member, cause)
        if not had_task and not is_excused:
            self._count_idle_death(cause)
        self.ask(member)

    def on_swept(self, message: Message) -> None:
        """What dead worker ``pid`` had left is dead too: its verdict is complete."""
        cause = self._unswept.pop(message.pid, None)
        if cause is not None:
            cause.swept = message.a

    def _give_up_on_sweep(self, pid: int) -> None:
        self._unswept.pop(pid, None)

    def _on_pidfd(self, member: Member) -> None:
        self._loop.remove_reader(member.pidfd)
        if member.is_signalled and not member.kill_fault and not member.doomed:
            member.phase = Phase.DYING  # by a signal of ours? DIED tells
            return
        self._bury(member)

    def _bury(self, member: Member, status: int | None = None) -> None:
        """The process is dead, the fence done: drain, classify, let others go on."""
        if member.is_buried:
            return
        member.is_buried = True
        member.phase = Phase.DYING
        self._loop.remove_reader(member.pidfd)
        member.began_ns = self._running(member)
        fault, slot = self._autopsy.blame(member, self._core, status)
        lib.sa_core_worker_died(self._core.handle, member.index, fault, slot)
        self._claim(member)
        self._core.worker_rows[member.index].state = 0
        self._balance()

    # --- what the supervisor wants

    def kill(
        self,
        member: Member,
        fault: int,
        *,
        slot: int = NO_SLOT,
        reason: str | None = None,
        limit_ns: int | None = None,
    ) -> None:
        """
        Kill a worker and its group.

        Args:
            member: The worker.
            fault: The ``Fault`` of the start that it is killed for.
            slot: That start's; without it, of all that it runs.
            reason: A word for the record.
            limit_ns: When the limit had passed that it is killed for.
        """
        if member.phase is not Phase.LIVE or member.is_buried:
            return
        if member.kill_fault == Fault.NONE:
            member.kill_fault, member.kill_slot = fault, slot
            member.kill_reason = reason
            if limit_ns is not None:
                member.limits_ns[slot] = limit_ns
            member.kill_ns = self._clock.monotonic_ns()
            member.descendants = descendants_of(member.pid)
            self.unkillable.expect_death(member)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(member.pidfd, signal.SIGKILL)
        # Not reaped before WATCHING and DIED: the group is still this worker's.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(member.pid, signal.SIGKILL)
        # The spare need not wait for the burial, nor what was not started.
        self.recycle(member, reason)

    def recycle(self, member: Member, reason: str | None) -> None:
        """Let a worker finish what it runs and leave; a fresh one takes its place."""
        if member.phase is Phase.LIVE and not member.is_leaving:
            member.is_leaving, member.leaving_for = True, reason
            lib.sa_core_worker_quiet(self._core.handle, member.index, 1)
            self._balance()
            self.on_change(member, None)

    def quiet(self, *, drain: bool) -> int:
        """
        Offer nothing more; returns how many cells are still held, those of workers
        that cannot be killed not counted.
        """
        held = 0
        for member in self.members:
            cells = lib.sa_core_worker_quiet(
                self._core.handle, member.index, int(drain)
            )
            held += 0 if member.stuck_since_ns else cells
        return held

    def live(self) -> list[Member]:
        """Return the members that run, without those that cannot be killed."""
        return [
            member
            for member in self.members
            if member.phase is Phase.LIVE and not member.stuck_since_ns
        ]

    def close(self) -> None:
        for member in self.members:
            if member.pidfd >= 0:
                os.close(member.pidfd)
            os.close(member.wake_fd)
            member.ring.close()
        for ring in self._retired:
            ring.close()

    # --- inside

    def _fence(self) -> dict[int, int]:
        """Kill all of an earlier tree; returns index and pidfd of who does not die."""
        stuck: dict[int, int] = {}
        until_ns = self._clock.monotonic_ns() + int(DEATH_S * 1e9)
        for index in range(_ROWS):
            row = self._core.worker_rows[index]
            if not row.incarnation:  # never was anybody there
                break
            if not row.pid:
                continue
            left_s = (until_ns - self._clock.monotonic_ns()) / 1e9
            pidfd = fence(int(row.pid), int(row.pid_start), within_s=left_s)
            if pidfd >= 0:
                stuck[index] = pidfd
            else:
                row.pid = 0
        return stuck

    def _adopt(self, index: int, pidfd: int) -> None:
        """
        Take over what the fence could not kill. Its ring is safe to recover, as it
        never runs another instruction; its index stays empty until it is dead.
        """
        if index >= self.count_max:
            os.close(pidfd)
            return
        member, row = self.members[index], self._core.worker_rows[index]
        member.phase, member.is_buried = Phase.DYING, True
        member.pid, member.pidfd = int(row.pid), pidfd
        slots = map(self._core.slot, self._core.numbers_in(State.LEASED, State.HELD))
        # A HELD slot does not tell any more whose it was: perhaps its.
        mine = [it for it in slots if it.state == State.HELD or it.owner == index]
        self.unkillable.adopt(member, mine)
        self._loop.add_reader(pidfd, self._on_late_death, member)

    def _on_late_death(self, member: Member) -> None:
        """No message may tell of it: its guardian may have been another."""
        self._loop.remove_reader(member.pidfd)
        self._part_with(member, Cause(is_known=False))
        self.ask(member)

    def _part_with(self, member: Member, cause: Cause) -> None:
        self.unkillable.forget(member)
        self._on_death(member, cause)
        self.on_change(member, cause)
        member.held.clear()
        if member.pidfd >= 0:
            os.close(member.pidfd)
        member.pidfd, member.pid = -1, 0
        member.phase = Phase.ABSENT
        self._core.worker_rows[member.index].pid = 0

    def _balance(self) -> None:
        """Let as many live members take tasks as there are to be; the rest spare."""
        ready = [it for it in self.live() if not it.is_leaving]
        # Who takes tasks goes on: demoted, it would run what it was offered beside
        # the one in its place, and more would run at a time than there are to be.
        ready.sort(key=lambda it: it.is_spare)
        for rank, member in enumerate(ready):
            member.is_spare = rank >= self._config.workers
            lib.sa_core_worker_spare(
                self._core.handle, member.index, int(member.is_spare)
            )

    def _running(self, member: Member) -> dict[int, int]:
        """Return when each slot that *member* runs was started."""
        found = (self._core.running(member.index, cell) for cell in self.cells)
        return dict(it for it in found if it is not None)

    def _count_idle_death(self, cause: Cause) -> None:
        now = self._clock.monotonic_ns()
        words = (cause.words.end or "").strip().splitlines()
        self.last_error = words[-1] if words else f"signal {cause.signal}"
        pause_ns = self._budget.spend(now)
        if pause_ns:
            self.paused_until_ns = now + pause_ns
