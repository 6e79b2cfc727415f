"""The producers: who is connected, and what the dead ones leave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from stem_actor.actor.supervisor.fence import born_at
from stem_actor.errors import RingError
from stem_actor.ring.core import Core
from stem_actor.ring.directory import RingDirectory, set_aside
from stem_actor.ring.native import Status, ffi, lib, raise_for
from stem_actor.ring.segment import Segment, create_segment, open_segment

__all__ = ["Producer", "Producers"]

_SUBMIT_BYTES: Final = 1 << 20
_REPLY_BYTES: Final = 1 << 20
_AGAIN_S: Final = 0.05
#: How long a producer may take to come back after the supervisor was replaced.
_RETURN_S: Final = 5.0


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_later(self, delay: float, callback: Any, *args: Any) -> object: ...


@dataclass(slots=True)
class Producer:
    """One producer's ring, as the supervisor holds it."""

    row: int
    ring_id: int
    pid: int
    born: int
    ring: Segment
    wake_fd: int = -1
    is_connected: bool = True


class Producers:
    """Attach, reconnect, detach; nothing a dead producer published is lost."""

    def __init__(
        self,
        core: Core,
        directory: RingDirectory,
        bell: Segment,
        bell_fd: int,
        loop: Loop,
    ) -> None:
        self._core = core
        self._directory = directory
        self._loop = loop
        self.bell = bell
        self.bell_fd = bell_fd
        self.rows: dict[int, Producer] = {}
        #: Ring id → pid and birth of those whose ring was corrupt, and who have not
        #: come for another.
        self._bereft: dict[int, tuple[int, int]] = {}
        #: How many rings were corrupt, and how many of their owners got another.
        self.spoilt = self.renewed = 0

    @property
    def has_traffic(self) -> bool:
        """Whether anybody is connected, so that the sweep should be quick."""
        return any(producer.is_connected for producer in self.rows.values())

    def reopen(self) -> None:
        """
        Attach every ring that an earlier supervisor left; before recovery.

        A ring whose producer has said goodbye, or is dead, is dropped as soon as the
        loop runs, which is after recovery: what was published in it is admitted first.
        """
        for path in self._directory.producer_rings():
            ring = open_segment(path, writable=True)
            pid, born = _owner_of(path)
            producer = self._attach(ring, pid=pid, born=born, wake_fd=-1)
            if producer is None:
                ring.close()
                set_aside(path)
                self._note_spoilt(_number_of(path), pid, born)
                continue
            producer.is_connected = False
            lib.sa_core_connect_producer(self._core.handle, producer.row, 0, -1)
            is_gone = lib.sa_ring_is_left(ring.at) or not _is_alive(pid, born)
            wait_s = 0.0 if is_gone else _RETURN_S
            self._loop.call_later(wait_s, self._expect, producer)

    def admit(self, pid: int, wake_fd: int) -> Producer:
        """
        Make a ring for a new producer.

        Raises:
            RingError: If there are 64 already, or no memory.
        """
        ring_id = lib.sa_core_next_producer_id(self._core.handle)
        if ring_id == 0xFFFFFFFF:
            raise RingError(
                "64 producers are connected already",
                hint="share one app between threads, or enqueue through a server",
            )
        born = born_at(pid)
        path = self._directory.producer_ring(ring_id, pid, born)
        size = lib.sa_ring_size(0, _SUBMIT_BYTES, _REPLY_BYTES)
        ring = create_segment(path, size)
        rc = lib.sa_ring_init(
            ring.at, size, ring_id, 0, _SUBMIT_BYTES, _REPLY_BYTES, self._core.instance
        )
        raise_for(rc, f"formatting {path}")
        ring.publish()
        producer = self._attach(ring, pid=pid, born=born, wake_fd=wake_fd)
        if producer is None:
            raise RingError(f"{path} cannot be attached")
        return producer

    def resume(self, ring_id: int, pid: int, wake_fd: int) -> Producer | None:
        """
        Give a producer its ring back after the supervisor was replaced.

        Returns:
            None if there is none any more: it needs another.
        """
        owner, _ = self._bereft.get(ring_id, (0, 0))
        if owner == pid:
            del self._bereft[ring_id]
            self.renewed += 1
        producer = self.rows.get(ring_id % 64)
        if producer is None or producer.ring_id != ring_id or producer.pid != pid:
            return None
        if lib.sa_ring_is_left(producer.ring.at):
            return None
        producer.is_connected = True
        producer.wake_fd = wake_fd
        lib.sa_core_connect_producer(self._core.handle, producer.row, 1, wake_fd)
        return producer

    def leave(self, producer: Producer) -> None:
        """The producer has gone: admit what it published, then drop its ring."""
        if self.rows.get(producer.row) is not producer:
            return
        if producer.is_connected:
            producer.is_connected = False
            lib.sa_core_connect_producer(self._core.handle, producer.row, 0, -1)
            if producer.wake_fd >= 0:
                os.close(producer.wake_fd)
                producer.wake_fd = -1
        rc = lib.sa_core_detach_producer(self._core.handle, producer.row)
        if rc == Status.FULL:  # its ring holds more than there is room for now
            self._loop.call_later(_AGAIN_S, self.leave, producer)
            return
        del self.rows[producer.row]
        producer.ring.path.unlink(missing_ok=True)
        producer.ring.close()

    def quarantine(self, ring_id: int) -> Producer | None:
        """
        Keep the ring of a producer that wrote nonsense for diagnosis.

        Returns:
            The producer, which must be told: the core reads its ring no more.
        """
        producer = self.rows.get(ring_id % 64)
        if producer is None or producer.ring_id != ring_id:
            return None
        set_aside(producer.ring.path)
        self._note_spoilt(ring_id, producer.pid, producer.born)
        return producer

    def problems(self) -> Iterator[str]:
        """Yield a line for each living process whose ring was corrupt."""
        for ring_id, (pid, born) in list(self._bereft.items()):
            if not _is_alive(pid, born):
                del self._bereft[ring_id]
                continue
            yield (
                f"the ring of process {pid} was corrupt, and it has not come for "
                "another yet: what it submitted last is lost; if it hangs, restart it"
            )

    def _note_spoilt(self, ring_id: int, pid: int, born: int) -> None:
        self.spoilt += 1
        self._bereft[ring_id] = pid, born

    def _attach(
        self, ring: Segment, *, pid: int, born: int, wake_fd: int
    ) -> Producer | None:
        row = ffi.new("uint32_t *")
        rc = lib.sa_core_attach_producer(
            self._core.handle, ring.at, ring.size, wake_fd, row
        )
        if rc != Status.OK:
            return None
        probe = ffi.new("int *")
        view = lib.sa_producer_open(ring.at, ring.size, self.bell.at, -1, probe)
        ring_id = int(lib.sa_producer_id(view))
        lib.sa_producer_close(view)
        producer = Producer(int(row[0]), ring_id, pid, born, ring, wake_fd)
        self.rows[producer.row] = producer
        return producer

    def _expect(self, producer: Producer) -> None:
        """Not back in time: gone if its process is, else a little more patience."""
        if producer.is_connected or self.rows.get(producer.row) is not producer:
            return
        has_left = lib.sa_ring_is_left(producer.ring.at)
        if not has_left and _is_alive(producer.pid, producer.born):
            self._loop.call_later(_RETURN_S, self._expect, producer)
        else:
            self.leave(producer)


def _number_of(path: Path) -> int:
    """Return the id of the ring at *path*; -1: not told."""
    number = path.stem.split("-")[1]
    return int(number) if number.isdecimal() else -1


def _owner_of(path: Path) -> tuple[int, int]:
    """Return pid and birth of the producer whose ring lies at *path*; 0: not told."""
    numbers = path.stem.split("-")[2:]
    pid, born = (*(int(it) if it.isdecimal() else 0 for it in numbers), 0, 0)[:2]
    return pid, born


def _is_alive(pid: int, born: int) -> bool:
    """
    Return whether the process lives that was *pid* when it was born at *born*.

    One whose state cannot be read is taken for alive: patience costs a ring.
    """
    try:
        return pid > 0 and born > 0 and born_at(pid) == born
    except OSError:
        return True
