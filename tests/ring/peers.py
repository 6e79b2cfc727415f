"""The peers of a core: a producer, and a worker that does what a test says."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from stem_actor._core import ffi, lib

from .memory import Kind, Memory

#: ``struct sa_task`` of native/sa_abi.h, field by field.
TASK = struct.Struct("<BBBBHHHHI16sQQqqqqQQIHHQQIHH")
_REPLIES = 256
_DRAIN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a test submits; times are wall nanoseconds, 0 = not set."""

    body: bytes = b""
    queue: str = "default"
    name: str = "task"
    priority: int = 0
    id: bytes = bytes(16)
    created_ns: int = 1
    not_before_ns: int = 0
    expires_ns: int = 0
    deadline_ns: int = 0
    soft_ns: int = 0
    hard_ns: int = 0
    extension_ms: int = 0
    meters: int = 0
    flags: int = 0
    claims: bytes = b""
    ties: int = 0

    def head(self) -> bytes:
        """Return the record without its body, as the producer submits it."""
        queue, name = self.queue.encode(), self.name.encode()
        packed = TASK.pack(
            *(1, self.flags, self.priority, 0),
            *(len(queue), len(name), 0, self.ties, 0),
            *(self.id, 0, 0),
            *(self.created_ns, self.not_before_ns),
            *(self.expires_ns, self.deadline_ns),
            *(self.soft_ns, self.hard_ns),
            *(0, 3, self.meters, 0, 0, self.extension_ms, len(self.claims), 0),
        )
        return packed + queue + name + self.claims

    def record(self) -> bytes:
        """Return the whole record, as it lies in a ring."""
        head = bytearray(self.head())
        head[12:16] = len(self.body).to_bytes(4, "little")
        return bytes(head) + self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply record."""

    ticket: int
    kind: Kind
    attempt: int
    starts: int
    payload: bytes


class Producer:
    """The producer's side of a ring, or of a worker's submit half."""

    def __init__(self, ring: Memory, bell: Memory) -> None:
        status = ffi.new("int *")
        self.handle: Any = lib.sa_producer_open(ring.at, ring.size, bell.at, -1, status)
        assert self.handle != ffi.NULL, status[0]
        self.status = 0

    def submit(self, task: Task, bodies: list[bytes] | None = None) -> list[Accepted]:
        """Submit one task, or one for each body; return those that were accepted."""
        head = task.head()
        each = [task.body] if bodies is None else bodies
        ends, end = [], 0
        for body in each:
            end += len(body)
            ends.append(end)
        ids = ffi.new("uint8_t[]", 16 * len(each))
        first, status = ffi.new("uint64_t *"), ffi.new("int *")
        count = lib.sa_producer_submit(
            *(self.handle, head, len(head)),
            *(b"".join(each), ffi.new("uint32_t[]", ends), len(each)),
            *(ids, first, status),
        )
        self.status = status[0]
        raw = bytes(ffi.buffer(ids))
        return [Accepted(raw[16 * i : 16 * i + 16], first[0] + i) for i in range(count)]

    def drain(self) -> list[Reply]:
        """Return every reply that is there."""
        found: list[Reply] = []
        out = ffi.new("struct sa_reply[]", _REPLIES)
        data, n = ffi.new("uint8_t[]", _DRAIN_BYTES), ffi.new("uint32_t *")
        while True:
            rc = lib.sa_producer_drain(self.handle, out, _REPLIES, data, len(data), n)
            if rc != lib.SA_OK:
                assert rc == lib.SA_EMPTY
                return found
            found += [
                Reply(
                    *(r.ticket, Kind(r.kind), r.attempt, r.starts),
                    bytes(ffi.buffer(data + r.at, r.len)),
                )
                for r in out[0 : n[0]]
            ]

    @property
    def admitted(self) -> bool:
        """Whether the supervisor has taken everything that was submitted."""
        return bool(lib.sa_producer_admitted(self.handle))

    def close(self) -> None:
        """Release private memory; the ring stays."""
        lib.sa_producer_close(self.handle)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted task."""

    id: bytes
    ticket: int


class ScriptedWorker:
    """A worker that takes and reports when it is told to."""

    def __init__(self, ring: Memory, segment: Memory, bell: Memory) -> None:
        self._keep = (ring, segment, bell)
        status = ffi.new("int *")
        self.handle: Any = lib.sa_worker_open(
            *(ring.at, ring.size, segment.at, segment.size),
            *(bell.at, -1, 0, 1, status),
        )
        assert self.handle != ffi.NULL, status[0]

    def take(self) -> Any:
        """Return the next grant, or None when nothing is offered."""
        grant = ffi.new("struct sa_grant *")
        rc = lib.sa_worker_take(self.handle, grant)
        if rc == lib.SA_EMPTY:  # hints may be lost: then it looks at every cell
            rc = lib.sa_worker_next(self.handle, grant, 0)
        if rc in (lib.SA_EMPTY, lib.SA_TIMEOUT):
            return None
        assert rc == lib.SA_OK
        return grant

    def report(
        self, grant: Any, kind: Kind, payload: bytes = b"", delay_ns: int = 0
    ) -> int:
        """Report on *grant*; return the status."""
        return int(
            lib.sa_worker_report(
                self.handle, grant, kind, delay_ns, payload, len(payload), 0
            )
        )

    def close(self) -> None:
        """Release private memory, as the death of the process would."""
        lib.sa_worker_close(self.handle)


def task_id(grant: Any) -> bytes:
    """Return the id of the granted task."""
    return bytes(ffi.buffer(grant.task + 16, 16))


def body_of(grant: Any) -> bytes:
    """Return the body of the granted task."""
    return bytes(ffi.buffer(grant.body, grant.body_len))
