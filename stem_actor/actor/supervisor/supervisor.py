"""The supervisor: owns the arena, decides everything, runs no user code."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvloop

from stem_actor.actor.supervisor import quarantine
from stem_actor.actor.supervisor.cause import SWEEP_NS, Cause
from stem_actor.actor.supervisor.control import ControlServer
from stem_actor.actor.supervisor.crew import Crew
from stem_actor.actor.supervisor.dead_letters import DeadLetterStore
from stem_actor.actor.supervisor.drain import Drain
from stem_actor.actor.supervisor.events import EventHub
from stem_actor.actor.supervisor.judge import Judge
from stem_actor.actor.supervisor.limits import Limits
from stem_actor.actor.supervisor.member import Member
from stem_actor.actor.supervisor.meters import Meters
from stem_actor.actor.supervisor.parting import STATUS_FD, part, put_aside, say
from stem_actor.actor.supervisor.producers import Producers
from stem_actor.actor.supervisor.station import Station
from stem_actor.actor.tree import verbs
from stem_actor.actor.tree.config import SupervisorConfig, read_config
from stem_actor.actor.tree.verbs import Message, Verb
from stem_actor.clock import Clock, SystemClock
from stem_actor.errors import StemError
from stem_actor.ring.core import (
    Core,
    Event,
    EventType,
    Fault,
    Held,
    SlotView,
    State,
    create_core,
)
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.segment import Segment, create_segment, open_segment

__all__ = ["Supervisor", "main"]

GUARDIAN_FD: Final = 3
BELL_FD: Final = 4

#: EX_TEMPFAIL, ``SA_AGAIN``: the guardian keeps the directory of such a tree.
_AGAIN: Final = 75
#: Set by the guardian: the latest epoch in which it was asked for a worker.
_EPOCH_VARIABLE: Final = "STEM_ACTOR_EPOCH"
_POLL_NS: Final = 3_000
_SWEEP_NS: Final = 50_000_000
_IDLE_SWEEP_NS: Final = 250_000_000


class Supervisor:
    """
    One process, one thread, one loop.

    1. takes the lock, maps or creates the arena and every ring, recovers;
    2. asks the guardian for workers;
    3. on each bell lets the C core work, then handles what it left to Python;
    4. serves the control socket; 5. drains and leaves.
    """

    def __init__(
        self,
        directory: RingDirectory,
        config: SupervisorConfig,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
    ) -> None:
        self.directory = directory
        self.config = config
        self.clock = clock
        self.loop = loop
        self.lock_fd = directory.take_lock()
        self.core = self._open_core()
        self.epoch = self.core.begin_epoch()
        # Births of an epoch that this tree has passed are refused, and the core of a
        # ring that was put aside in between begins to count anew.
        while self.epoch <= int(os.environ.get(_EPOCH_VARIABLE, "0")):
            self.epoch = self.core.begin_epoch()
        self.bell = _open_bell(directory.bell)
        self.dead_letters = DeadLetterStore(directory.dead_letters)
        self.guardian = socket.socket(fileno=GUARDIAN_FD)
        self.guardian.setblocking(False)
        self.judge = Judge(self.core, config, clock)
        self.crew = Crew(
            self.core, config, directory, self.guardian, clock, loop,
            claim=self._claim, on_death=self._on_death,
        )  # fmt: skip
        self.producers = Producers(self.core, directory, self.bell, BELL_FD, loop)
        self.limits = Limits(self.core, self.crew, clock, loop)
        self.meters = Meters(self.core, self.crew, self.limits, config, clock, loop)
        self.hub = EventHub(self.core, self.crew, clock, loop)
        self.station = Station(
            directory, config, clock, loop, self.core, self.crew, self.limits,
            self.producers, self.dead_letters, self.hub, self.pump, self.stop,
        )  # fmt: skip
        self.drain = Drain(self.station)
        self.control = ControlServer(self.station, self.drain)
        self.finished: asyncio.Future[int] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._unclaimed: list[Event] = []
        self._undecided: list[tuple[int, int, Cause]] = []

    # --- life

    def start(self) -> None:
        """Recover, open for business, ask for workers."""
        self.crew.open_rings()
        self.producers.reopen()
        now, wall = self.clock.monotonic_ns(), self.clock.wall_ns()
        self.station.recovered = self.core.recover(now, wall)
        if self.station.recovered["bad"]:
            say(
                f"slots given up in recovery: {self.station.recovered['bad']}; they "
                "held what the ring does not allow, and their tasks are lost"
            )
        broken = self.core.check()
        if broken:
            raise StemError(
                f"the ring does not pass its checks after recovery: {broken}"
            )
        self.station.spool.sweep()
        self.station.canvases.load()
        self.loop.add_reader(BELL_FD, self.pump)
        self.loop.add_reader(GUARDIAN_FD, self._on_guardian)
        self.control.open()
        self.crew.start()
        self.pump()
        verbs.send(self.guardian, Message(Verb.READY))

    def stop(self, code: int = 0) -> None:
        """Have the guardian end everything, this process included."""
        if self.finished.done():
            return
        self.core.mark_clean()
        verbs.send(self.guardian, Message(Verb.SHUTDOWN, value=code))
        self.finished.set_result(code)

    # --- the hot part

    def pump(self) -> None:
        """Let the core work until there is nothing, then arm the timer."""
        with suppress(BlockingIOError):
            os.eventfd_read(BELL_FD)
        sweep = _SWEEP_NS if self.core_is_live() else _IDLE_SWEEP_NS
        self._decide()
        for _ in range(8):
            left = self.core.run(self.bell.at, poll_ns=_POLL_NS, sweep_ns=sweep)
            if self.hub.is_open:
                self.hub.pass_on()
            # A core that may sleep has none: it looks for them before it says so.
            events = self._unclaimed + ([] if left else self.core.events())
            if events:
                self._unclaimed = []
                try:
                    self._handle(events)
                except BaseException:
                    self._arm(sweep)  # whatever it is, the clock must not stop
                    raise
            elif left:
                self._arm(left)
                return
        self.loop.call_soon(self.pump)

    def core_is_live(self) -> bool:
        return bool(self.core.stats_row.live) or self.producers.has_traffic

    def _arm(self, left_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(left_ns / 1e9, self.pump)

    def _handle(self, events: list[Event]) -> None:
        dead = [event for event in events if event.type == EventType.DEAD_LETTER]
        for event in events:
            try:
                self._on_event(event)
            except Exception as error:  # of this task; the others wait for theirs
                self.station.unreadable.on_event(event, error)
        if dead:
            self.station.letters.post(dead)
        ended = [event for event in events if event.type == EventType.TIED]
        if ended:
            self.station.canvases.on_ended(ended)

    def _on_event(self, event: Event) -> None:
        match event.type:
            case EventType.SOFT | EventType.HARD:
                self.limits.on_limit(event)
            case EventType.METERED:
                self.meters.on_offered(event)
            case EventType.HELD:
                self._undecided.append((event.slot, event.gen, self._why(event)))
            case EventType.FREED_SPOOL:
                self.station.spool.on_freed(event)
            case EventType.CORRUPT:
                self._on_corrupt(event)
            case EventType.DRIVEN:
                self.station.canvases.on_driven(event)
            case EventType.WATCHED:
                self.control.on_finished(event)

    # --- what the core leaves to us

    @staticmethod
    def _why(event: Event) -> Cause:
        """A start whose worker has told of its end; or one that was held before us."""
        return Cause(is_known=event.b == Held.TOLD)

    def _claim(self, member: Member) -> None:
        """Note which starts the death of *member* has just cost."""
        for event in self.core.events():
            if event.type == EventType.HELD and event.b == Held.LOST:
                member.held.append((event.slot, event.gen))
            else:
                self._unclaimed.append(event)

    def _on_death(self, member: Member, cause: Cause) -> None:
        self._undecided += [(slot, gen, cause) for slot, gen in member.held]
        self.loop.call_soon(self.pump)
        self.loop.call_later(SWEEP_NS / 1e9, self.pump)  # the verdict waits no longer

    def _decide(self) -> None:
        """Judge what is held; where there is no room to say it, the next time."""
        waiting, self._undecided = self._undecided, []
        if waiting:  # delays and times of what is decided count from now
            self.core.set_clock(self.clock.monotonic_ns(), self.clock.wall_ns())
        for number, gen, cause in waiting:
            slot = self.core.slot(number)
            if slot.gen != gen or slot.state != State.HELD:
                continue
            if not self._settle(slot, cause):
                self._undecided.append((number, gen, cause))

    def _settle(self, slot: SlotView, cause: Cause) -> bool:
        """Judge one; what cannot be judged is given up, and stops no other."""
        unreadable = self.station.unreadable
        if self.crew.unkillable.holder_of(slot) is not None:
            return False
        if unreadable.has(slot):
            return unreadable.finish(slot)
        try:
            return self.judge.judge(slot, cause)
        except Exception as error:
            return unreadable.give_up(slot, error)

    def _on_corrupt(self, event: Event) -> None:
        number = event.worker
        if event.a == 0:
            if number < len(self.crew.members):  # else nobody lives there any more
                member = self.crew.members[number]
                self.crew.kill(member, Fault.CORRUPT, reason="corrupt")
            say(f"the ring of worker {number} is corrupt")
            return
        producer = self.producers.quarantine(number)
        if producer is not None:
            self.loop.call_soon(self.control.hang_up, producer)
            kept = producer.ring.path.with_suffix(".bad").name
            say(f"the ring of process {producer.pid} is corrupt; kept as {kept}")

    # --- the guardian

    def _on_guardian(self) -> None:
        while True:
            try:
                got = verbs.receive(self.guardian)
            except BlockingIOError:
                break
            if got is None:  # the guardian is gone, and so are we in a moment
                os._exit(70)
            message, fd = got
            if fd >= 0:
                os.close(fd)
            self._obey(message)
        self.pump()

    def _obey(self, message: Message) -> None:
        match message.verb:
            case Verb.BORN:
                self.crew.on_born(message)
            case Verb.DIED:
                self.crew.on_died(message)
            case Verb.SWEPT:
                self.crew.on_swept(message)
            case Verb.SIGNAL:
                self.drain.on_signal(message.value)
            case Verb.ZYGOTE if message.value == verbs.ZygoteNews.NONE_LEFT:
                # No worker can ever be made here again. The ring stays: the host's
                # next call, or systemd, starts a tree that has a zygote.
                self.crew.last_error = "no zygote is left to make workers"
                if not self.drain.is_stopping:
                    self.stop(_AGAIN)

    # --- files

    def _open_core(self) -> Core:
        path = self.directory.core
        if path.exists():
            segment = open_segment(path, writable=True)
        else:
            segment = create_core(
                path, slots=self.config.slots, arena_bytes=self.config.arena_bytes
            )
        # Rings of more workers than there are to be still hold what those committed.
        rings = self.directory.worker_ring_count()
        return Core(
            segment,
            workers_max=max(self.config.workers + 1, rings),
            result_ttl_ns=self.config.result_ttl_ns,
            queues=self.config.queues,
        )


def _open_bell(path: Path) -> Segment:
    if path.exists():
        return open_segment(path, writable=True)
    page = create_segment(path, 4096)
    page.publish()
    return page


async def _supervise(directory: RingDirectory, config: SupervisorConfig) -> int:
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(directory, config, loop, SystemClock())
    supervisor.start()
    return await supervisor.finished


def main(argv: list[str] | None = None) -> Any:
    """Run the supervisor of the directory in *argv*; the guardian exec's this."""
    arguments = sys.argv[1:] if argv is None else argv
    path = Path(arguments[0])
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for fd in (GUARDIAN_FD, BELL_FD, STATUS_FD):
        os.set_inheritable(fd, False)
    faulthandler.enable()  # a crash of the core leaves its stack in the log
    try:
        config = read_config(path / "config.json")
        directory = RingDirectory(path, is_anonymous=config.is_anonymous)
        if quarantine.REASON_VARIABLE in os.environ:
            put_aside(directory, os.environ[quarantine.REASON_VARIABLE])
            sys.exit(0)
        code = uvloop.run(_supervise(directory, config))
    except Exception as error:
        code = part(error, path)
    sys.exit(code)
