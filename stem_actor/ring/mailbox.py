"""The worker's side: take grants from the mailbox, report to the outbox."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stem_actor.errors import RingError
from stem_actor.ring.native import Status, ffi, lib, raise_for
from stem_actor.ring.record import TaskRecord, unpack_record
from stem_actor.ring.segment import Segment

__all__ = ["Grant", "Mailbox", "Stop", "Usage"]

#: How long a report waits for room before it is tried again. Only a supervisor
#: that is gone, or stopped, drains no outbox; the worker dies with the first.
_ROOM_NS: Final = 1_000_000_000
_NO_CELL: Final = 0xFFFFFFFF


class Stop:
    """The numbers of ``enum sa_stop``: why a start is to end before its time."""

    REVOKED: Final = 1
    SOFT: Final = 2
    DRAIN: Final = 3


class Usage(NamedTuple):
    """What a process and its waited-for children have used since they began."""

    cpu_ns: int
    peak_rss: int
    minor_faults: int
    major_faults: int


class Grant:
    """
    One start of one task, as given to this worker.

    The record lies in the read-only arena and is valid until the outcome is
    reported; ``body`` copies what is to outlive it.
    """

    __slots__ = ("_generation", "raw")

    def __init__(self) -> None:
        self.raw: Any = ffi.new("struct sa_grant *")
        self._generation: Final[int] = lib.sa_generation()

    @property
    def attempt(self) -> int:
        return int(self.raw.attempt)

    @property
    def starts(self) -> int:
        return int(self.raw.starts)

    @property
    def cell(self) -> int:
        return int(self.raw.cell)

    @property
    def flags(self) -> int:
        return int(self.raw.flags)

    def body(self) -> bytes:
        raw = self._mapped()
        return bytes(ffi.buffer(raw.body, raw.body_len))

    def task_id(self) -> bytes:
        return bytes(ffi.buffer(self._mapped().task + 16, 16))

    def error(self) -> bytes:
        """The packed error of the attempt before; empty for the first."""
        raw = self._mapped()
        return bytes(ffi.buffer(raw.error, raw.error_len)) if raw.error_len else b""

    def record(self) -> TaskRecord:
        """Return the whole task, decoded; the slow path."""
        raw = self._mapped()
        return unpack_record(bytes(ffi.buffer(raw.task, raw.task_len)))

    def _mapped(self) -> Any:
        """The grant, in the process that was given it: a child has no arena."""
        if lib.sa_generation() != self._generation:
            raise RingError(
                "a child of a worker may not use its task",
                hint="read what it needs before the fork",
            )
        return self.raw


class Mailbox:
    """The rings of one worker. One thread; not usable after a fork."""

    def __init__(
        self,
        ring: Segment,
        core: Segment,
        bell: Segment,
        *,
        bell_fd: int,
        epoch: int,
        incarnation: int,
        worker: int = 0,
    ) -> None:
        self.worker: Final[int] = worker
        status = ffi.new("int *")
        self._segments = (ring, core, bell)
        self.handle: Any = lib.sa_worker_open(
            ring.at, ring.size, core.at, core.size, bell.at, bell_fd,
            epoch, incarnation, status,
        )  # fmt: skip
        raise_for(status[0], f"opening {ring.path}")
        self.payload_max: Final[int] = lib.sa_worker_payload_max(self.handle)

    def next(self, grant: Grant, timeout_ns: int) -> bool:
        """
        Take the next task into *grant*; False on time-out, signal or drain.

        Raises:
            RingError: If the mailbox is corrupt, or this is a forked child.
        """
        rc = lib.sa_worker_next(self.handle, grant.raw, timeout_ns)
        return self._taken(rc)

    def take(self, grant: Grant) -> bool:
        """As ``next``, without waiting."""
        return self._taken(lib.sa_worker_take(self.handle, grant.raw))

    def report(
        self, grant: Grant, kind: int, payload: bytes = b"", delay_ns: int = 0
    ) -> None:
        """
        Report on *grant*; for an ending, the outcome stands once this returns.

        Raises:
            RingError: If the payload can never fit, or this is a forked child.
        """
        while True:
            rc = lib.sa_worker_report(
                self.handle, grant.raw, kind, delay_ns, payload, len(payload), _ROOM_NS
            )
            if rc == Status.OK:
                return
            if rc not in (Status.TIMEOUT, Status.INTERRUPTED):
                raise_for(rc, "reporting an outcome")

    @property
    def is_draining(self) -> bool:
        return bool(lib.sa_worker_draining(self.handle))

    @property
    def has_pressure(self) -> bool:
        """Whether results should go to the spool because the arena is short."""
        return bool(lib.sa_worker_pressure(self.handle))

    def arm(self) -> bool:
        """Ask for the wake eventfd; True if something is offered already."""
        return bool(lib.sa_worker_arm(self.handle) == Status.OK)

    def mark(self, cell: int | None) -> None:
        """Say which cell's coroutine runs now; None: none does."""
        lib.sa_worker_mark(self.handle, _NO_CELL if cell is None else cell)

    def open_soft(self, signo: int, wake_fd: int) -> None:
        """Install the C side of the soft limit's signal."""
        rc = lib.sa_soft_open(self.handle, signo, wake_fd)
        raise_for(rc, "installing the soft limit")

    def open_words(self, signo: int, all_signo: int, fd: int) -> None:
        """
        Have the handler of *signo* name the start whose last words it writes, and
        call that of *all_signo*, too.
        """
        rc = lib.sa_words_open(self.handle, signo, all_signo, fd)
        raise_for(rc, "installing the last words")

    @staticmethod
    def is_armed(signo: int, last_signo: int) -> bool:
        """Unblock these signals; whether the first still has the handler in C."""
        return bool(lib.sa_soft_is_armed(signo, last_signo))

    @staticmethod
    def rearm(signo: int) -> None:
        """Install the handler in C again; what was asked stays so."""
        raise_for(lib.sa_soft_rearm(signo), "installing the soft limit")

    @staticmethod
    def take_stop() -> tuple[int, int] | None:
        """
        Return a cell whose start is to be interrupted, and why: a ``Stop``.

        What it returns is taken: it comes again only by ``stop_again``.
        """
        cell, reason = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        if lib.sa_soft_take(cell, reason) != Status.OK:
            return None
        return int(cell[0]), int(reason[0])

    @staticmethod
    def stop_again(cell: int, reason: int, delay_ns: int) -> None:
        """Have the same come again after *delay_ns*, if its start still runs then."""
        lib.sa_soft_again(cell, reason, delay_ns)

    @staticmethod
    def look_again(delay_ns: int) -> None:
        """Have ``take_stop`` asked again after *delay_ns*."""
        lib.sa_soft_look(delay_ns)

    def measure(self) -> Usage:
        """Return what this process has used; the supervisor is told, too."""
        raw = ffi.new("struct sa_usage *")
        lib.sa_worker_measure(self.handle, raw)
        return Usage(raw.cpu_ns, raw.peak_rss, raw.minor_faults, raw.major_faults)

    def close(self) -> None:
        handle, self.handle = self.handle, ffi.NULL
        if handle != ffi.NULL:
            lib.sa_worker_close(handle)
            for segment in self._segments:
                segment.close()

    @staticmethod
    def _taken(rc: int) -> bool:
        if rc == Status.OK:
            return True
        if rc in (Status.EMPTY, Status.TIMEOUT, Status.INTERRUPTED):
            return False
        if rc == Status.FOREIGN:
            raise RingError(
                "a child of a worker may not use its mailbox",
                hint="enqueue from the handler itself",
            )
        raise_for(rc, "reading the mailbox")
        return False
