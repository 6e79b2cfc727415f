"""The producer's side of its ring: submit tasks, drain replies, wait."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from stem_actor.errors import PayloadTooLarge, RingError
from stem_actor.ring.native import Status, ffi, lib, raise_for
from stem_actor.ring.segment import Segment

__all__ = ["Kind", "Reply", "RingProducer", "Submitted"]

_REPLY: Final = struct.Struct("<QIIIIQII")
_REPLIES: Final = 512
_REPLY_BYTES: Final = 1 << 19
_BATCH: Final = 4096


class Kind:
    """The numbers of ``enum sa_kind``."""

    SUCCEEDED: Final = 1
    FAILED: Final = 2
    CANCELLED: Final = 3
    RETRY: Final = 4
    PROGRESS: Final = 5
    UNKNOWN: Final = 6
    EXTEND: Final = 7
    DUPLICATE: Final = 8
    EXPIRED: Final = 9
    HANDED_BACK: Final = 10
    EXTEND_LIMIT: Final = 11
    STOPPED: Final = 12
    STARTED: Final = 13
    RETRY_LIMITED: Final = 14
    MERGED: Final = 15


class Reply(NamedTuple):
    """One reply: the outcome of a task of ours, or its progress."""

    ticket: int
    kind: int
    attempt: int
    starts: int
    payload: bytes


class Submitted(NamedTuple):
    """What became of a submission: the first *accepted* tasks are accepted."""

    accepted: int
    ids: bytes
    first_ticket: int
    status: int


class _Scratch(threading.local):
    """C memory for the arguments of one call, one set for each thread."""

    def __init__(self) -> None:
        self.ids: Any = ffi.new("uint8_t[]", 16)
        self.ends: Any = ffi.new("uint32_t[]", 1)
        self.ticket: Any = ffi.new("uint64_t *")
        self.status: Any = ffi.new("int *")


class RingProducer:
    """
    A producer's ring. Submitting is thread-safe; ``drain`` is for one thread at a
    time, which the caller sees to.

    ``close`` may come while other threads are inside of C. Each call holds a reference
    to the handle for as long as it lasts, so the handle counts its users: the last one
    to let go of it frees what it stands for. It must never be bound to a name that
    outlives the call.

    Args:
        ring: The ring; closed with the handle.
        bell: The bell's page; likewise.
        bell_fd: The eventfd that wakes the supervisor.
        owns_bell: Whether *bell_fd* is closed with the handle too.
        first_ticket: Tickets count from here; above those of a ring before this one,
            so that what was submitted there is never taken for a task of this one.
    """

    def __init__(
        self,
        ring: Segment,
        bell: Segment,
        bell_fd: int,
        *,
        owns_bell: bool = False,
        first_ticket: int = 1,
    ) -> None:
        status = ffi.new("int *")
        handle = lib.sa_producer_open(ring.at, ring.size, bell.at, bell_fd, status)
        raise_for(status[0], f"opening {ring.path}")
        self._handle: Any = ffi.gc(
            handle, _release(ring, bell, bell_fd if owns_bell else -1)
        )
        lib.sa_producer_number_from(handle, first_ticket)
        self.first_ticket: Final[int] = first_ticket
        #: Read once: whatever spoils the ring may spoil the number in its head.
        self.ring_id: Final[int] = int(lib.sa_producer_id(handle))
        self._is_closed = False
        self._scratch = _Scratch()
        self._replies: Any = ffi.new("struct sa_reply[]", _REPLIES)
        self._bytes: Any = ffi.new("uint8_t[]", _REPLY_BYTES)
        self._n: Any = ffi.new("uint32_t *")
        self.payload_max: Final[int] = lib.sa_producer_payload_max(self._handle)

    def submit(self, head: bytes, body: bytes) -> Submitted:
        """
        Submit one task; ``accepted`` is 0 when there is no room.

        So it is when nobody reads this ring any more; then ``status`` is STALE.
        """
        scratch = self._scratch
        scratch.ends[0] = len(body)
        count = lib.sa_producer_submit(
            self._open(), head, len(head), body, scratch.ends, 1,
            scratch.ids, scratch.ticket, scratch.status,
        )  # fmt: skip
        status = scratch.status[0]
        if not count:
            self._check(status, len(head) + len(body))
        ids = ffi.buffer(scratch.ids)[:] if count else b""
        return Submitted(count, ids, scratch.ticket[0], status)

    def submit_many(self, head: bytes, bodies: Sequence[bytes]) -> Submitted:
        """Submit up to 4,096 tasks that share *head*, in order."""
        bodies = bodies[:_BATCH]
        n = len(bodies)
        ids = ffi.new("uint8_t[]", 16 * n)
        ends = ffi.new("uint32_t[]", list(accumulate(map(len, bodies))))
        scratch = self._scratch
        count = lib.sa_producer_submit(
            self._open(), head, len(head), b"".join(bodies), ends, n,
            ids, scratch.ticket, scratch.status,
        )  # fmt: skip
        status = scratch.status[0]
        if count < n:
            self._check(status, len(head) + len(bodies[count]))
        return Submitted(count, ffi.buffer(ids)[:], scratch.ticket[0], status)

    def drain(self) -> list[Reply]:
        """Return the replies that wait, at most 512 of them."""
        rc = lib.sa_producer_drain(
            self._open(), self._replies, _REPLIES, self._bytes, _REPLY_BYTES, self._n
        )
        n = self._n[0]
        if not n:
            if rc == Status.EMPTY:
                return []
            raise_for(rc, "reading replies")
            return []
        rows = _REPLY.iter_unpack(ffi.buffer(self._replies, n * _REPLY.size))
        data = ffi.buffer(self._bytes)
        return [
            Reply(ticket, kind, attempt, starts, data[at : at + size])
            for ticket, kind, attempt, starts, size, at, _marks, _spare in rows
        ]

    def wait(self, timeout_ns: int, *, spin_ns: int = 0) -> int:
        """Wait for a reply; returns a ``Status``: OK, TIMEOUT or INTERRUPTED."""
        return int(lib.sa_producer_wait(self._open(), spin_ns, timeout_ns))

    def look(self) -> bool:
        """Give way on this core for a moment; whether there is a reply then."""
        return bool(lib.sa_producer_look(self._open()) == Status.OK)

    def wait_room(self, timeout_ns: int) -> int:
        """Wait for room to submit."""
        return int(lib.sa_producer_wait_room(self._open(), timeout_ns))

    def arm(self) -> bool:
        """Ask for the eventfd; True if there is something to drain already."""
        return bool(lib.sa_producer_arm(self._open()) == Status.OK)

    def is_admitted(self) -> bool:
        """Whether the supervisor has taken everything submitted so far."""
        return bool(lib.sa_producer_admitted(self._open()))

    def unadmitted(self) -> int:
        """Count the tasks submitted here that the supervisor has no slot for yet."""
        return int(lib.sa_producer_unadmitted(self._open()))

    def retire(self) -> None:
        """
        Refuse every later task as STALE: another ring is there in place of this one.

        Threads that are at it go on, and find nothing; it goes with the last of them.
        """
        lib.sa_producer_leave(self._open())

    def close(self) -> None:
        """
        Say goodbye in the ring, and refuse every later call. Handle and mappings go
        now, or with the last call that is still inside.
        """
        self._is_closed = True
        if self._handle != ffi.NULL:
            lib.sa_producer_leave(self._handle)
        self._handle = ffi.NULL

    def _open(self) -> Any:
        if self._handle == ffi.NULL:
            raise RingError("the connection to the ring is closed")
        return self._handle

    def _check(self, status: int, size: int) -> None:
        if status == Status.TOO_LARGE:
            raise PayloadTooLarge(size, self.payload_max)
        if status == Status.STALE and self._is_closed:  # by another thread, just now
            raise RingError("the connection to the ring is closed")
        if status not in (Status.OK, Status.FULL, Status.STALE):
            raise_for(status, "enqueue")


def _release(ring: Segment, bell: Segment, bell_fd: int) -> Callable[[Any], None]:
    """Return what frees a handle, once nobody can use it any more."""

    def release(handle: Any) -> None:
        lib.sa_producer_close(handle)
        ring.close()
        bell.close()
        if bell_fd >= 0:
            os.close(bell_fd)

    return release
