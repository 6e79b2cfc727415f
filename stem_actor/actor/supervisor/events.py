"""EventHub: from the core's news to those who have asked for events."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from stem_actor.actor.supervisor.cause import Cause
from stem_actor.actor.supervisor.crew import Crew
from stem_actor.actor.supervisor.member import Member
from stem_actor.clock import Clock
from stem_actor.ring.core import Core
from stem_actor.ring.news import NewsType, pack_news, split_news

__all__ = ["EventHub"]

#: The most that waits for one subscriber, in events and in bytes.
WAITING_MAX: Final = 10_000
_WAITING_BYTES: Final = 16 << 20
#: A packet takes no more events once it has so many bytes; one alone may have more.
_PACKET_BYTES: Final = 60_000


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def add_writer(
        self, fd: int, callback: Callable[..., object], *args: object
    ) -> object: ...
    def remove_writer(self, fd: int) -> object: ...


@dataclass(slots=True)
class _Subscriber:
    """
    Somebody who listens.

    Attributes:
        line: Its connection; never waited for.
        seq: Number of the request that it last subscribed by.
        wanted: A bit for each type that it wants.
        ids: The tasks that it asks for; None: all, and the workers.
        waiting: What its connection has not taken yet.
        size: The bytes of that.
        dropped: How many have been lost since the last packet.
        is_blocked: Whether the connection takes nothing now.
    """

    line: socket.socket
    seq: int
    wanted: int
    ids: frozenset[bytes] | None
    waiting: deque[bytes] = field(default_factory=deque)
    size: int = 0
    dropped: int = 0
    is_blocked: bool = False

    def offer(self, kind: int, task_id: bytes, record: bytes) -> None:
        """Keep *record*, if it is wanted, and the newest if there are too many."""
        if not self.wanted >> kind & 1:
            return
        if self.ids is not None and task_id not in self.ids:
            return
        self.waiting.append(record)
        self.size += len(record)
        while len(self.waiting) > WAITING_MAX or self.size > _WAITING_BYTES:
            self.size -= len(self.waiting.popleft())
            self.dropped += 1

    def packet(self) -> tuple[bytes, int]:
        """Return the next packet and how many events are in it."""
        size = count = 0
        for record in self.waiting:
            if count and size + len(record) > _PACKET_BYTES:
                break
            size += len(record)
            count += 1
        records = b"".join(self.waiting[i] for i in range(count))
        facts = {"seq": self.seq, "events": records, "dropped": self.dropped}
        return msgspec.msgpack.encode(facts), count

    def sent(self, count: int) -> None:
        """The connection has taken the first *count*."""
        self.dropped = 0
        for _ in range(count):
            self.size -= len(self.waiting.popleft())


class EventHub:
    """
    Gives each subscriber, over its own connection, the events that it asked for.

    Nobody is waited for: what a connection does not take is kept, the newest 10,000
    or 16 MiB, and the rest counted. Without a subscriber nothing is told at all.
    """

    def __init__(self, core: Core, crew: Crew, clock: Clock, loop: Loop) -> None:
        self._core = core
        self._clock = clock
        self._loop = loop
        self._subscribers: dict[int, _Subscriber] = {}
        self._lost = 0  # by the core, as far as subscribers know
        #: Whether anybody listens.
        self.is_open = False
        crew.on_change = self._on_change
        self._crew = crew

    def subscribe(
        self, line: socket.socket, seq: int, wanted: int, ids: frozenset[bytes] | None
    ) -> None:
        """
        Send events on *line* from now on, or others than before.

        Args:
            line: A connection that does not block.
            seq: What its packets are marked with.
            wanted: A bit for each ``NewsType``; 0: no events any more.
            ids: Only of these tasks; None: of all, and of workers.
        """
        self.pass_on()
        known = self._subscribers.get(line.fileno())
        if not wanted:
            self.forget(line)
            return
        if known is None:
            self._subscribers[line.fileno()] = _Subscriber(line, seq, wanted, ids)
        else:
            known.seq, known.wanted, known.ids = seq, wanted, ids
        self._tune()

    def forget(self, line: socket.socket) -> None:
        """*line* is about to be closed, or wants no more."""
        known = self._subscribers.pop(line.fileno(), None)
        if known is None:
            return
        if known.is_blocked:
            self._loop.remove_writer(line.fileno())
        self._tune()

    def pass_on(self) -> None:
        """Hand out what the core has told since the last time."""
        data, lost = self._core.news()
        subscribers = self._subscribers.values()
        if lost != self._lost:
            for each in subscribers:
                each.dropped += lost - self._lost
            self._lost = lost
        if not data:
            return
        for kind, task_id, record in split_news(data):
            for each in subscribers:
                each.offer(kind, task_id, record)
        for each in subscribers:
            self._flush(each)

    # --- inside

    def _tune(self) -> None:
        wanted = 0
        for each in self._subscribers.values():
            wanted |= each.wanted
        self.is_open = bool(wanted)
        self._core.listen(wanted)

    def _flush(self, subscriber: _Subscriber) -> None:
        while subscriber.waiting and not subscriber.is_blocked:
            packet, count = subscriber.packet()
            try:
                subscriber.line.send(packet)
            except BlockingIOError:
                subscriber.is_blocked = True
                fd = subscriber.line.fileno()
                self._loop.add_writer(fd, self._go_on, subscriber)
                return
            except OSError:  # it is gone; its session ends in a moment
                subscriber.waiting.clear()
                subscriber.size = 0
                return
            subscriber.sent(count)

    def _go_on(self, subscriber: _Subscriber) -> None:
        self._loop.remove_writer(subscriber.line.fileno())
        subscriber.is_blocked = False
        self._flush(subscriber)

    def _on_change(self, member: Member, cause: Cause | None) -> None:
        """A worker has come, is to leave, or has died for *cause*."""
        if not self.is_open:
            return
        self.pass_on()  # what came before is told before
        payload = b""
        if cause is None:
            is_leaving = member.is_leaving or self._crew.is_stopping
            kind = NewsType.WORKER_STOPPING if is_leaving else NewsType.WORKER_READY
            if is_leaving:
                payload = msgspec.msgpack.encode(member.leaving_for or "stop")
        elif cause.exit_status == 0 and not member.held:  # not in the middle of a task
            kind = NewsType.WORKER_STOPPED
        else:
            kind = NewsType.WORKER_DIED
            facts = {
                "signal": cause.signal,
                "exitStatus": cause.exit_status,
                "oom": cause.oom,
                "reason": cause.reason,
            }
            payload = msgspec.msgpack.encode(facts)
        at_ns, worker, pid = self._clock.wall_ns(), member.index, member.pid
        record = pack_news(kind, at_ns=at_ns, worker=worker, pid=pid, payload=payload)
        for each in self._subscribers.values():
            each.offer(kind, b"", record)
            self._flush(each)
