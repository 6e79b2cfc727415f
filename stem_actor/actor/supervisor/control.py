"""The control socket: attach, ask, administer. Everything that is not hot."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from stem_actor.actor.supervisor import admin
from stem_actor.actor.supervisor.drain import Drain
from stem_actor.actor.supervisor.producers import Producer
from stem_actor.actor.supervisor.request import number_in, task_id_in, task_ids_in
from stem_actor.actor.supervisor.station import Station
from stem_actor.actor.tree.descriptors import are_left
from stem_actor.errors import StemError
from stem_actor.ring.claimed import locate
from stem_actor.ring.core import Event, State

__all__ = ["PACKET_MAX", "ControlServer", "Session"]

PACKET_MAX: Final = 160 * 1024
_BACKLOG: Final = 128
_SESSIONS_MAX: Final = 256
_CREDENTIALS: Final = struct.Struct("3i")
#: What connections leave for the supervisor's own work: a new worker's pidfd, a look
#: into /proc, the dead letters. One that attaches takes four.
_RESERVE: Final = 8
_AGAIN_S: Final = 0.1
_MESSAGE_MAX: Final = 2_000


@dataclass(slots=True)
class Session:
    """One connected process."""

    line: socket.socket
    pid: int
    pidfd: int
    producer: Producer | None = None
    #: Task id → numbers of the requests that wait for its end.
    waiting: dict[bytes, list[int]] = field(default_factory=dict)


class ControlServer:
    """
    SOCK_SEQPACKET below the ring's directory; one MessagePack map per packet.

    A request has ``seq`` and ``op``; its answer has the same ``seq`` and either the
    facts asked for or ``error`` and ``message``. The peer must be this user.
    """

    def __init__(self, station: Station, drain: Drain) -> None:
        self._station = station
        self._drain = drain
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sessions: dict[int, Session] = {}

    def open(self) -> None:
        path = self._station.directory.socket
        path.unlink(missing_ok=True)  # the lock says that nobody else listens there
        old = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(old)
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self._listen()

    def on_finished(self, event: Event) -> None:
        """A watched task has ended: answer those who wait for it."""
        for session in list(self._sessions.values()):
            for seq in session.waiting.pop(event.task_id, ()):
                self._tell(session, seq, event.task_id)

    def hang_up(self, producer: Producer) -> None:
        """Its ring is corrupt: it redials, and is given another."""
        for session in list(self._sessions.values()):
            if session.producer is producer:
                self._part(session)

    # --- connections

    def _listen(self) -> None:
        self._station.loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        while True:
            if not are_left(_RESERVE):
                self._pause()
                return
            try:
                line, _ = self._listener.accept()
            except BlockingIOError:
                self._station.is_deaf = False
                return
            except OSError:
                self._pause()
                return
            self._welcome(line)

    def _pause(self) -> None:
        """
        Out of descriptors: those that connect wait in the backlog for a while.

        Left in the loop, a listener that cannot be accepted from is ready for ever.
        """
        station = self._station
        if not station.is_deaf:
            station.is_deaf = True
            station.pauses += 1
        station.loop.remove_reader(self._listener.fileno())
        station.loop.call_later(_AGAIN_S, self._listen)

    def _welcome(self, line: socket.socket) -> None:
        raw = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _gid = _CREDENTIALS.unpack(raw)
        if uid not in (os.geteuid(), 0) or len(self._sessions) >= _SESSIONS_MAX:
            line.close()
            return
        line.setblocking(False)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            line.close()
            return
        session = Session(line, pid, pidfd)
        self._sessions[line.fileno()] = session
        loop = self._station.loop
        loop.add_reader(line.fileno(), self._read, session)
        # A child that inherited the socket keeps it open after its parent's death.
        loop.add_reader(pidfd, self._part, session)

    def _part(self, session: Session) -> None:
        if self._sessions.pop(session.line.fileno(), None) is None:
            return
        loop = self._station.loop
        loop.remove_reader(session.line.fileno())
        loop.remove_reader(session.pidfd)
        self._station.hub.forget(session.line)
        session.line.close()
        os.close(session.pidfd)
        if session.producer is not None:
            self._station.producers.leave(session.producer)
            self._station.pump()

    def _read(self, session: Session) -> None:
        try:
            packet, fds, _, _ = socket.recv_fds(session.line, PACKET_MAX, 1)
        except BlockingIOError:
            return
        except OSError:
            self._part(session)
            return
        if not packet:
            self._part(session)
            return
        try:
            request = msgspec.msgpack.decode(packet)
            seq, op = int(request["seq"]), str(request["op"])
        except Exception as error:  # not our protocol: there is no seq to answer to
            for fd in fds:
                os.close(fd)
            self._refuse(session, 0, error)
            self._part(session)
            return
        self._serve(session, seq, op, request, fds)

    # --- requests

    def _serve(
        self,
        session: Session,
        seq: int,
        op: str,
        request: dict[str, Any],
        fds: list[int],
    ) -> None:
        # What the same process has published before it asked comes first.
        self._station.pump()
        try:
            if op == "attach":
                self._attach(session, seq, request, fds)
            elif op == "wait":
                self._wait(session, seq, request)
            elif op == "stop":
                self._stop(session, seq, request)
            elif op == "events":
                self._listen_to(session, seq, request)
            else:
                verb: Callable[..., dict[str, object]] | None = admin.VERBS.get(op)
                if verb is None:
                    raise StemError(f"the supervisor knows no {op!r}")
                self._answer(session, seq, verb(self._station, request))
        except Exception as error:  # the peer is told, and the supervisor goes on
            self._refuse(session, seq, error)
        finally:
            for fd in fds:  # all that an attachment did not keep
                os.close(fd)

    def _attach(
        self, session: Session, seq: int, request: dict[str, Any], fds: list[int]
    ) -> None:
        """Give the process a ring of its own, or the one it had before."""
        wake_fd = fds[0] if fds else -1
        producers = self._station.producers
        producer = None
        if session.producer is not None:
            raise StemError("this connection has a ring already")
        if wake_fd < 0:  # sent by every producer; the kernel has dropped it here
            raise StemError(
                "the supervisor has no file descriptor left",
                hint="raise RLIMIT_NOFILE, or close connections",
            )
        if "ring" in request:
            producer = producers.resume(
                number_in(request, "ring", most=2**31 - 1), session.pid, wake_fd
            )
        resumed = producer is not None
        if producer is None:
            producer = producers.admit(session.pid, wake_fd)
        fds.clear()  # the eventfd is the producer's from here on
        session.producer = producer
        answer: dict[str, object] = {
            "ring": producer.ring_id,
            "resumed": resumed,
            "slots": self._station.core.slots,
            "maxPayload": self._station.config.max_payload,
            "supervisor": os.getpid(),
        }
        handed = [producer.ring.fd, producers.bell.fd, producers.bell_fd]
        self._answer(session, seq, answer, handed)

    def _wait(self, session: Session, seq: int, request: dict[str, Any]) -> None:
        """Answer when the task has ended; at once if it is unknown or has."""
        task_id = task_id_in(request)
        slot = locate(self._station.core, task_id)
        if slot is None or slot.state == State.FINISHED:
            self._tell(session, seq, task_id)
            return
        admin.watch(self._station, slot.number)
        session.waiting.setdefault(task_id, []).append(seq)

    def _listen_to(self, session: Session, seq: int, request: dict[str, Any]) -> None:
        """Send events from here on, or others than before; no types: none."""
        ids = None if request.get("ids") is None else task_ids_in(request)
        wanted = number_in(request, "types", most=2**32 - 1)
        self._answer(session, seq, {"listening": True})
        self._station.hub.subscribe(
            session.line,
            seq,
            wanted,
            None if ids is None else frozenset(ids),
        )

    def _stop(self, session: Session, seq: int, request: dict[str, Any]) -> None:
        self._drain.begin(
            number_in(request, "deadlineNs"),
            lambda report: self._answer(session, seq, report),
        )

    def _tell(self, session: Session, seq: int, task_id: bytes) -> None:
        """Answer with the status of a task; if it cannot be read, with why."""
        try:
            view = admin.status_of(self._station, task_id)
        except Exception as error:
            self._refuse(session, seq, error)
        else:
            self._answer(session, seq, {"status": view})

    def _refuse(self, session: Session, seq: int, error: Exception) -> None:
        message = str(error)[:_MESSAGE_MAX].encode(errors="replace").decode()
        self._answer(session, seq, {"error": type(error).__name__, "message": message})

    def _answer(
        self,
        session: Session,
        seq: int,
        answer: dict[str, Any],
        fds: list[int] | None = None,
    ) -> None:
        packet = msgspec.msgpack.encode({"seq": seq, **answer})
        if len(packet) > PACKET_MAX:
            packet = msgspec.msgpack.encode(
                {"seq": seq, "error": "StemError", "message": "the answer is too large"}
            )
        with suppress(OSError):  # gone, or it never reads: its own loss
            if fds:
                socket.send_fds(session.line, [packet], fds)
            else:
                session.line.send(packet)
