"""The control line of a producer: requests to the supervisor, and their answers."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from stem_actor.errors import BrokerUnavailable, RingError, StemError
from stem_actor.ring.directory import RingDirectory

__all__ = ["ControlLine"]

_PACKET_MAX: Final = 160 * 1024
_CONNECT_S: Final = 10.0
_REDIAL_S: Final = 0.01
_IDLE_S: Final = 0.02


class ControlLine:
    """
    A connection to the control socket; one request at a time, from any thread.

    Args:
        directory: Whose supervisor is meant.
        revive: Called when nobody runs the ring; starts it again, or raises.
    """

    def __init__(
        self, directory: RingDirectory, *, revive: Callable[[], None] | None = None
    ) -> None:
        self._directory = directory
        self._revive = revive
        self._socket: socket.socket | None = None
        self._seq = 0
        self.lock = threading.RLock()

    def attach(
        self, wake_fd: int, ring_id: int | None
    ) -> tuple[dict[str, Any], list[int]]:
        """
        Connect and ask for a ring, or for *ring_id* again.

        Returns:
            The supervisor's answer, and the ring, the bell's page and the bell.

        Raises:
            RingError: If it refuses.
            BrokerUnavailable: If there is none.
        """
        self.close()
        fields: dict[str, object] = {"seq": 0, "op": "attach"}
        if ring_id is not None:
            fields["ring"] = ring_id
        request = msgspec.msgpack.encode(fields)
        deadline = time.monotonic() + _CONNECT_S
        while True:
            line = self._dial(deadline)
            packet, fds = _introduce(line, request, wake_fd)
            if packet:
                break
            line.close()  # the supervisor died meanwhile: to the next one
            if time.monotonic() >= deadline:
                raise BrokerUnavailable(
                    "the supervisor closes every connection", hint=self.last_words()
                )
            select.select([], [], [], _REDIAL_S)
        answer: dict[str, Any] = msgspec.msgpack.decode(packet)
        if len(fds) != 3:
            line.close()
            raise RingError(f"attaching failed: {answer.get('message')}")
        for fd in fds:
            os.set_inheritable(fd, False)
        self._socket = line
        return answer, fds

    def ask(
        self,
        op: str,
        fields: dict[str, object],
        timeout_s: float,
        on_idle: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        """
        Send a request and return its answer.

        Args:
            op: The verb.
            fields: Its arguments.
            timeout_s: Longest wait for the answer, in seconds.
            on_idle: Called every 20 ms while there is none.

        Raises:
            StemError: What the supervisor says.
            BrokerUnavailable: If it does not answer in time.
            ConnectionError: If the line is dead.
        """
        line = self._socket
        if line is None:
            raise ConnectionResetError
        self._seq += 1
        deadline = time.monotonic() + timeout_s
        line.settimeout(timeout_s)
        line.send(msgspec.msgpack.encode({"seq": self._seq, "op": op, **fields}))
        while True:
            while not _readable(line, _IDLE_S):
                if time.monotonic() >= deadline:
                    raise BrokerUnavailable(
                        f"no answer to {op!r} from the supervisor in {timeout_s:g} s"
                    )
                if on_idle is not None:
                    on_idle()
            packet = line.recv(_PACKET_MAX)
            if not packet:
                raise ConnectionResetError
            answer: dict[str, Any] = msgspec.msgpack.decode(packet)
            if answer.pop("seq") == self._seq:
                break
        if "error" in answer:
            raise StemError(str(answer["message"]))
        return answer

    def is_dead(self) -> bool:
        """Whether the supervisor at the other end has gone."""
        line = self._socket
        if line is None:
            return True
        poller = select.poll()
        poller.register(line, select.POLLIN)
        return any(events & select.POLLHUP for _, events in poller.poll(0))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def last_words(self) -> str | None:
        """The last line of the supervisor's log, as a hint."""
        try:
            tail = self._directory.log.read_text(errors="replace").strip()
        except OSError:
            return None
        return f"its last words: {tail.splitlines()[-1]}" if tail else None

    def _dial(self, deadline: float) -> socket.socket:
        while True:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                line.connect(str(self._directory.socket))
            except (ConnectionRefusedError, FileNotFoundError) as error:
                line.close()
                if time.monotonic() >= deadline:
                    raise BrokerUnavailable(
                        f"no supervisor runs the ring at {self._directory.path}",
                        hint=self.last_words(),
                    ) from error
                if self._revive is not None:
                    self._revive()
                select.select([], [], [], _REDIAL_S)  # it is being replaced
            except OSError:
                line.close()
                raise
            else:
                return line


def _introduce(
    line: socket.socket, request: bytes, wake_fd: int
) -> tuple[bytes, list[int]]:
    """Send the first request; the answer is empty if the other side has died."""
    line.settimeout(_CONNECT_S)
    try:
        socket.send_fds(line, [request], [wake_fd])
        packet, fds, _, _ = socket.recv_fds(line, _PACKET_MAX, 3)
    except ConnectionError:
        return b"", []
    except OSError as error:
        line.close()
        raise BrokerUnavailable(f"the supervisor does not answer: {error}") from error
    return packet, fds


def _readable(line: socket.socket, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(line, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))
