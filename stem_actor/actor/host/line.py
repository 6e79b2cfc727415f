"""The control line of a producer: requests to the supervisor, and their answers."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from stem_actor.actor.host.supervisor_log import last_words
from stem_actor.errors import BrokerUnavailable
from stem_actor.ring.directory import RingDirectory

__all__ = ["ControlLine", "Request", "Welcome"]

_PACKET_MAX: Final = 160 * 1024
_REDIAL_NS: Final = 10_000_000
_REDIAL_S: Final = _REDIAL_NS / 1e9
_REFUSED_NS: Final = 100_000_000
_SHARED_S: Final = 0.002

#: Nobody listens there: the supervisor is being replaced, or is gone.
_ABSENT: Final = (ConnectionRefusedError, FileNotFoundError)
#: What may be over by the next try; any other refusal is told to the caller.
_PASSING: Final = frozenset(
    {
        errno.EAGAIN,
        errno.ECONNRESET,
        errno.EPIPE,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
    }
)

Welcome = tuple[dict[str, Any], list[int]]
"""The answer to an attachment, and the ring, the bell's page and the bell."""


@dataclass(slots=True)
class Request:
    """
    One question to the supervisor.

    Attributes:
        op: The verb.
        fields: Its arguments.
        seq: The number its answer bears.
        generation: Of the line it was last sent on; a later line gets it once more.
    """

    op: str
    fields: dict[str, object]
    seq: int = 0
    generation: int = 0


class ControlLine:
    """
    A connection to the control socket, kept up in steps of which none waits.

    A wait with a deadline and an event loop can thus both take part in a redial. The
    steps hold ``lock``, for microseconds; ``pause`` and ``last_words`` do not.
    """

    def __init__(self, directory: RingDirectory) -> None:
        self._directory = directory
        self._socket: socket.socket | None = None
        self._next_ns = 0
        self._seq = 0
        self._answers: dict[int, dict[str, Any] | None] = {}
        self.lock = threading.RLock()
        #: Counts the lines there have been; 0 before the first.
        self.generation = 0
        self.is_attached = False
        #: Whether the last try found nobody at all.
        self.is_absent = False
        #: Why the last supervisor that answered took us not.
        self.refusal: str | None = None

    def is_up(self) -> bool:
        """Whether the supervisor is at the other end; one that is stopped is, too."""
        line = self._socket
        if line is None or not self.is_attached or (fd := line.fileno()) < 0:
            return False
        poller = select.poll()
        poller.register(fd, 0)  # hang-ups are always told
        return not poller.poll(0)

    def redial(self, wake_fd: int, ring_id: int | None) -> Welcome | None:
        """
        Go on with the way to a supervisor; under ``lock``.

        Args:
            wake_fd: The eventfd that it shall write.
            ring_id: The ring that is asked for again; None: a new one.

        Returns:
            What the supervisor says, once it has; None until then.

            A refusal is left in ``refusal``: what it lacks may be there by the next.

        Raises:
            BrokerUnavailable: If its socket can never be reached.
        """
        if self.is_attached:
            self._drop()
        if self._socket is None and time.monotonic_ns() >= self._next_ns:
            self._next_ns = time.monotonic_ns() + _REDIAL_NS
            self._dial(wake_fd, ring_id)
        return None if self._socket is None else self._welcome(self._socket)

    def exchange(self, request: Request) -> dict[str, Any] | None:
        """
        Send *request*, unless this line has had it, and return its answer if it is
        here; a request that died with its line is sent again.
        """
        with self.lock:
            self._read()
            answer = self._answers.get(request.seq)
            if answer is not None:
                del self._answers[request.seq]
            elif self.is_attached and request.generation != self.generation:
                self._send(request)
            return answer

    def forget(self, request: Request) -> None:
        """Nobody waits for the answer to *request* any more."""
        with self.lock:
            self._answers.pop(request.seq, None)

    def pause(self, timeout_s: float) -> None:
        """Sleep until something may have come, *timeout_s* at most."""
        line = self._socket
        fd = -1 if line is None else line.fileno()
        if fd < 0:
            select.select([], [], [], min(timeout_s, _REDIAL_S))
            return
        if len(self._answers) > 1:  # another thread may read what is ours
            timeout_s = min(timeout_s, _SHARED_S)
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.poll(timeout_s * 1000)

    def close(self) -> None:
        """Hang up; under ``lock``, but in a child of a fork."""
        self.is_attached = False
        line, self._socket = self._socket, None
        if line is not None:
            line.close()

    def last_words(self) -> str | None:
        """Why there is none: its refusal, or what the last one said; as a hint."""
        if self.refusal is not None:
            return self.refusal
        words = last_words(self._directory.log)
        return f"its last words: {words}" if words else None

    # --- inside, under the lock

    def _dial(self, wake_fd: int, ring_id: int | None) -> None:
        fields: dict[str, object] = {"seq": 0, "op": "attach"}
        if ring_id is not None:
            fields["ring"] = ring_id
        request = msgspec.msgpack.encode(fields)
        line: socket.socket | None = None
        self.is_absent = False
        try:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            line.setblocking(False)
            line.connect(str(self._directory.socket))
            socket.send_fds(line, [request], [wake_fd])
        except OSError as error:
            if line is not None:
                line.close()
            self.is_absent = isinstance(error, _ABSENT)
            if not self.is_absent and error.errno not in _PASSING:
                raise BrokerUnavailable(
                    f"{self._directory.socket} cannot be reached: {error.strerror}"
                ) from error
            return
        self._socket = line

    def _welcome(self, line: socket.socket) -> Welcome | None:
        try:
            packet, fds, _, _ = socket.recv_fds(
                line, _PACKET_MAX, 3, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError:
            packet, fds = b"", []
        if not packet:  # the supervisor died meanwhile: to the next one
            self.close()
            return None
        answer: dict[str, Any] = msgspec.msgpack.decode(packet)
        if len(fds) != 3:
            for fd in fds:
                os.close(fd)
            self.close()
            self.refusal = f"attaching failed: {answer.get('message')}"
            self._next_ns = time.monotonic_ns() + _REFUSED_NS
            return None
        self.refusal = None
        self.generation += 1
        self.is_attached = True
        return answer, fds

    def _send(self, request: Request) -> None:
        """Send it; where that fails, the line is dead or full, and it stays unsent."""
        line = self._socket
        if line is None:
            return
        self._answers.pop(request.seq, None)
        self._seq += 1
        fields = {"seq": self._seq, "op": request.op, **request.fields}
        try:
            line.send(msgspec.msgpack.encode(fields))
        except (BlockingIOError, ConnectionError):
            return
        request.seq, request.generation = self._seq, self.generation
        self._answers[self._seq] = None

    def _read(self) -> None:
        """Take every answer that is here; those nobody waits for are dropped."""
        line = self._socket
        while line is not None and self.is_attached:
            try:
                packet = line.recv(_PACKET_MAX)
            except OSError:
                return
            if not packet:
                return
            answer: dict[str, Any] = msgspec.msgpack.decode(packet)
            seq = answer.pop("seq")
            if seq in self._answers:
                self._answers[seq] = answer

    def _drop(self) -> None:
        """The other side has gone; what it said last still counts."""
        self._read()
        self.close()
