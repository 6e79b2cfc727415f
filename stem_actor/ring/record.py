"""The binary head of a task, as it lies in rings and slots."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from stem_actor.errors import RingCorrupt

__all__ = [
    "GROUP_CLAIM",
    "HEAD",
    "LIMIT_MAX_NS",
    "RATE_CLAIM",
    "UNIQUE_CLAIM",
    "Claim",
    "TaskHead",
    "TaskRecord",
    "add_claim",
    "claims_of",
    "pack_limits",
    "type_hash",
    "unpack_record",
]

#: ``struct sa_task`` of native/sa_abi.h, field by field.
HEAD: Final = struct.Struct("<BBBBHHHHI16sQQqqqqQQIHHQQIHH")
VERSION: Final = 1

#: Values of ``TaskHead.kind``: what the body is.
ARGS: Final = 0
ARGS_HEADERS_META: Final = 1
HANDED: Final = 2

# enum sa_task_flag
ACKS_EARLY: Final = 1
IGNORE_RESULT: Final = 2
RECOVERY_RETRY: Final = 4
SPOOLED: Final = 8
SOFT_EVENT: Final = 16
POLICY: Final = 32
BACKOFF: Final = 64
JITTER: Final = 128

# enum sa_tie
PART: Final = 1
WHOLE: Final = 2

# enum sa_task_meter: which limits stand among the options
MEMORY: Final = 1
CPU: Final = 2

LIMIT_MAX_NS: Final = ((1 << 28) - 1) * 1_000_000
"""The longest limit that an attempt can set for the next ones, some three days."""

# enum sa_claim_kind: in this order they stand in a record
GROUP_CLAIM: Final = 1
RATE_CLAIM: Final = 2
UNIQUE_CLAIM: Final = 3

#: ``struct sa_claim``, and the flag ``SA_CLAIM_CLOSED``.
_CLAIM: Final = struct.Struct("<HHIQ16s")
_CLOSED: Final = 1

#: Where the length of all claims stands in a packed head.
_CLAIM_LEN: Final = slice(124, 126)

#: ``struct sa_limits``
_LIMITS: Final = struct.Struct("<II")

_NO_ID: Final = bytes(16)


def type_hash(name: str) -> int:
    """Return the 64-bit hash by which workers look a task name up."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def pack_limits(soft_ns: int | None, hard_ns: int | None) -> bytes:
    """Return what stands before the payload of a RETRY_LIMITED; None: the record's."""
    return _LIMITS.pack(
        -(-(soft_ns or 0) // 1_000_000), -(-(hard_ns or 0) // 1_000_000)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    What a task claims beside a worker.

    Attributes:
        kind: GROUP_CLAIM, RATE_CLAIM or UNIQUE_CLAIM.
        key: 16 bytes that all claims on the same have in common.
        tokens: Starts in any span of a limit; 0 for a unique key.
        span_ns: That span; of a unique key how long it is held at most, 0: no bound.
        is_closed: Of a group: whether a task waits that finds no limiter for it.
    """

    kind: int
    key: bytes
    tokens: int = 0
    span_ns: int = 0
    is_closed: bool = False

    def pack(self) -> bytes:
        flags = _CLOSED if self.is_closed else 0
        return _CLAIM.pack(self.kind, self.tokens, flags, self.span_ns, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHead:
    """
    Everything the supervisor must know of a task; the body stays opaque to it.

    Times are wall-clock nanoseconds, 0 = not set; durations are nanoseconds.
    """

    name: str
    queue: str = "default"
    priority: int = 0
    flags: int = 0
    kind: int = ARGS
    task_id: bytes = _NO_ID
    not_before_ns: int = 0
    expires_ns: int = 0
    deadline_ns: int = 0
    soft_ns: int = 0
    hard_ns: int = 0
    max_retries: int = 0
    max_crashes: int = 3
    retry_base_ns: int = 0
    retry_max_ns: int = 0
    meters: int = 0
    extension_ms: int = 0
    options: bytes = b""
    claims: bytes = b""
    created_ns: int = 0
    ties: int = 0

    def pack(self, body_len: int = 0, ticket: int = 0) -> bytes:
        """Return the head, the names, options and claims; a body may follow."""
        queue, name = self.queue.encode(), self.name.encode()
        head = HEAD.pack(
            VERSION,
            self.flags,
            self.priority,
            self.kind,
            len(queue),
            len(name),
            len(self.options),
            self.ties,
            body_len,
            self.task_id,
            type_hash(self.name),
            ticket,
            self.created_ns,
            self.not_before_ns,
            self.expires_ns,
            self.deadline_ns,
            self.soft_ns,
            self.hard_ns,
            self.max_retries,
            self.max_crashes,
            self.meters,
            self.retry_base_ns,
            self.retry_max_ns,
            self.extension_ms,
            len(self.claims),
            0,
        )
        return head + queue + name + self.options + self.claims


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A whole task as stored: its head and its body."""

    head: TaskHead
    body: bytes
    ticket: int


def unpack_record(data: bytes) -> TaskRecord:
    """
    Return the task that *data*, a whole record, holds.

    Raises:
        RingCorrupt: If a length does not fit.
    """
    if len(data) < HEAD.size:
        raise RingCorrupt(f"a task record of {len(data)} bytes is too short")
    f = HEAD.unpack_from(data)
    queue_len, name_len, option_len, body_len, claim_len = f[4], f[5], f[6], f[8], f[24]
    at = HEAD.size
    total = at + queue_len + name_len + option_len + claim_len + body_len
    if f[0] != VERSION or total != len(data):
        raise RingCorrupt("the lengths in a task record do not add up")
    queue = data[at : at + queue_len].decode()
    at += queue_len
    name = data[at : at + name_len].decode()
    at += name_len
    claims_at = at + option_len
    head = TaskHead(
        name=name,
        queue=queue,
        priority=f[2],
        flags=f[1],
        kind=f[3],
        task_id=f[9],
        created_ns=f[12],
        not_before_ns=f[13],
        expires_ns=f[14],
        deadline_ns=f[15],
        soft_ns=f[16],
        hard_ns=f[17],
        max_retries=f[18],
        max_crashes=f[19],
        retry_base_ns=f[21],
        retry_max_ns=f[22],
        meters=f[20],
        extension_ms=f[23],
        ties=f[7],
        options=data[at:claims_at],
        claims=data[claims_at : claims_at + claim_len],
    )
    return TaskRecord(head, data[claims_at + claim_len :], f[11])


def add_claim(head: bytes, claim: bytes) -> bytes:
    """Return a packed *head* with one *claim* more, behind those that it has."""
    before = int.from_bytes(head[_CLAIM_LEN], "little")
    length = (before + len(claim)).to_bytes(2, "little")
    return head[: _CLAIM_LEN.start] + length + head[_CLAIM_LEN.stop :] + claim


def claims_of(head: TaskHead) -> tuple[Claim, ...]:
    """
    Return what the task of *head* claims.

    Raises:
        RingCorrupt: If its claims are cut off.
    """
    if len(head.claims) % _CLAIM.size:
        raise RingCorrupt("the claims of a task record are cut off")
    return tuple(
        Claim(
            kind=kind,
            key=key,
            tokens=tokens,
            span_ns=span_ns,
            is_closed=bool(flags & _CLOSED),
        )
        for kind, tokens, flags, span_ns, key in _CLAIM.iter_unpack(head.claims)
    )
