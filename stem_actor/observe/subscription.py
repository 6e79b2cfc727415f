"""Subscription: a line of its own to the supervisor, by which events come."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

import msgspec

from stem_actor.errors import BrokerUnavailable, PayloadError, RingError, StemError
from stem_actor.model.events import Event, EventsDropped
from stem_actor.observe.reading import EventReader, wanted_by
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.news import split_news
from stem_actor.ring.spool import Spool

__all__ = ["Subscription"]

_PACKET_MAX: Final = 160 * 1024
#: Between two tries while there is no supervisor, at first and at most.
_REDIAL_S: Final = 0.02
_REDIAL_MAX_S: Final = 0.25
#: A claim check says its own size; what it may be was the writer's to decide.
_ANY_SIZE: Final = 1 << 40


class Subscription:
    """
    Takes events in steps of which none waits; renews itself with the supervisor.

    One packet is read at a time, and only when all before it has been taken: what
    nobody takes stays with the supervisor, which bounds it.

    Args:
        directory: Of the ring.
        classes: What is asked for, with derived classes.
        task_id: Only of this task; None: of all, and of workers.
        encoders: What decodes what they tell; None: it stays as it is.

    Attributes:
        events: What has come and was not taken.
        dropped: How many were lost because they were not taken in time.
        gaps: How often the supervisor was replaced, which loses some, too.
        ready: Set while the supervisor sends what is asked for.
    """

    def __init__(
        self,
        directory: RingDirectory,
        classes: tuple[type[Event], ...],
        task_id: bytes | None,
        *,
        encoders: TaskPayloadEncoderRegistry | None = None,
    ) -> None:
        self.events: deque[Event] = deque()
        self.dropped = self.gaps = 0
        self.ready = threading.Event()
        self._pid = os.getpid()
        self._directory = directory
        self._reader = EventReader(Spool(directory.spool, _ANY_SIZE), encoders)
        self._ids = None if task_id is None else [task_id]
        self._line: socket.socket | None = None
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._next_s, self._pause_s = 0.0, _REDIAL_S
        self._seq = self._asked = 0
        self._is_ending = self.is_closed = self._was_ready = False
        self.ask(classes)

    def ask(self, classes: tuple[type[Event], ...]) -> None:
        """
        Ask for events of *classes* from now on; from any thread.

        Raises:
            ValueError: If no event is of them.
        """
        wanted = wanted_by(classes)
        if not wanted:
            raise ValueError("no event of the ring is of these types")
        self.ready.clear()
        self._is_told = issubclass(EventsDropped, classes)
        self._wanted = wanted
        self.wake()

    def wake(self) -> None:
        """Have whoever waits for the descriptors look again; from any thread."""
        if not self.is_closed:
            os.eventfd_write(self._wake, 1)

    def end(self) -> None:
        """Take no more than has come, then close; from any thread."""
        self._is_ending = True
        line = self._line
        if line is not None:
            with suppress(OSError):  # it is gone already
                line.shutdown(socket.SHUT_RDWR)  # what has come can still be read
        self.wake()

    def close(self) -> None:
        """Hang up; what has come can still be taken."""
        if self.is_closed:
            return
        self.is_closed = self._is_ending = True
        self._hang_up()
        os.close(self._wake)

    def __del__(self) -> None:
        if hasattr(self, "_asked"):
            self.close()

    def step(self) -> None:
        """
        Go on as far as can be without waiting.

        Raises:
            StemError: What the supervisor says against it.
            RingError: In a child of the process that has subscribed.
        """
        if self._pid != os.getpid():
            raise RingError(
                "this process was forked from the one that listens",
                hint="call app.events() in the child",
            )
        if self.is_closed or self.events:
            return
        self._clear_wake()
        if self._line is None:
            self._dial()
        while self._line is not None and not self.events:
            self._ask_again(self._line)
            packet = self._receive()
            if packet is None:
                break
            self._take(packet)
        if self._is_ending and self._line is None and not self.events:
            self.close()

    def descriptors(self) -> list[int]:
        """Return what to wait for until the next step."""
        line = [] if self._line is None else [self._line.fileno()]
        return [self._wake, *line]

    def patience_s(self) -> float | None:
        """How long to wait for them at most; None: for as long as it takes."""
        if self._line is not None:
            return None
        return max(0.0, self._next_s - time.monotonic())

    def no_supervisor(self) -> BrokerUnavailable:
        """Return the error that says so."""
        return BrokerUnavailable(
            f"no supervisor runs the ring at {self._directory.path}",
            hint="start the app, or run stem-actor worker",
        )

    # --- inside

    def _clear_wake(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def _dial(self) -> None:
        if time.monotonic() < self._next_s or self._is_ending:
            return
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.setblocking(False)
        try:
            line.connect(str(self._directory.socket))
        except OSError:
            line.close()
            self._retry_later()
            return
        self._line, self._asked = line, 0
        if self._is_ending:  # since we looked
            self._hang_up()

    def _ask_again(self, line: socket.socket) -> None:
        """Say what is wanted, unless this line was told."""
        wanted = self._wanted
        if self._asked == wanted:
            return
        self._seq += 1
        fields = {"seq": self._seq, "op": "events", "types": wanted, "ids": self._ids}
        try:
            line.send(msgspec.msgpack.encode(fields))
        except OSError:
            self._hang_up()
        else:
            self._asked = wanted

    def _receive(self) -> bytes | None:
        """Return the next packet; None: there is none now."""
        if self._line is None:
            return None
        try:
            packet = self._line.recv(_PACKET_MAX)
        except BlockingIOError:
            return None
        except OSError:
            packet = b""
        if not packet:
            self._hang_up()
            return None
        return packet

    def _take(self, packet: bytes) -> None:
        facts: dict[str, Any] = msgspec.msgpack.decode(packet)
        if "error" in facts:
            self.close()
            raise StemError(f"{facts['error']}: {facts['message']}")
        if "listening" in facts:
            self._on_ready(facts["seq"])
            return
        if facts["dropped"]:
            self.dropped += facts["dropped"]
            self._note_loss(facts["dropped"])
        for _, _, record in split_news(facts["events"]):
            try:
                self.events.append(self._reader.read(record))
            except (PayloadError, KeyError):  # of a later version
                self.dropped += 1

    def _on_ready(self, seq: int) -> None:
        if seq != self._seq or self._asked != self._wanted:
            return  # more has been asked for since
        self._pause_s = _REDIAL_S
        self.ready.set()
        if self._was_ready:
            return
        if self.gaps:
            self._note_loss(None)
        self._was_ready = True

    def _note_loss(self, count: int | None) -> None:
        if self._is_told:
            self.events.append(self._reader.dropped(count, time.time_ns()))

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if self._was_ready and not self._is_ending:
            self.gaps += 1
        self._was_ready = False
        self.ready.clear()
        self._retry_later()

    def _retry_later(self) -> None:
        self._next_s = time.monotonic() + self._pause_s
        self._pause_s = min(_REDIAL_MAX_S, self._pause_s * 1.5)
