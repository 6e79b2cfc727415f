"""Shared memory for one test, and the numbers of a slot read straight from it."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from stem_actor._core import ffi

#: Where the slot table begins: superblock, statistics, queue rows, worker rows.
SLOTS_AT = 2 * 4096 + 256 * 256 + 1024 * 64


class State(IntEnum):
    """``enum sa_state``."""

    FREE = 0
    READY = 1
    DELAYED = 2
    LEASED = 3
    HELD = 4
    FINISHED = 5
    PARKED = 6
    DRIVEN = 7


class Kind(IntEnum):
    """``enum sa_kind``."""

    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3
    RETRY = 4
    PROGRESS = 5
    UNKNOWN = 6
    EXTEND = 7
    DUPLICATE = 8
    EXPIRED = 9
    HANDED_BACK = 10
    EXTEND_LIMIT = 11
    STOPPED = 12
    MERGED = 15


class Fault(IntEnum):
    """``enum sa_fault``."""

    NONE = 0
    CRASH = 1
    COLLATERAL = 2
    HARD = 3
    CORRUPT = 6


class Told(IntEnum):
    """``enum sa_event_type``, those the tests look at."""

    DEAD_LETTER = 1
    FREED_SPOOL = 2
    CORRUPT = 3
    SOFT = 4
    HARD = 5
    HELD = 6
    PARKED = 7
    RETRIED = 8
    METERED = 9
    WATCHED = 10


class Memory:
    """Zeroed shared memory: a fork sees the same bytes, and no file is left behind."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._map = mmap.mmap(-1, size)
        self.bytes: Any = ffi.from_buffer("uint8_t[]", self._map)
        self.at: Any = ffi.cast("void *", self.bytes)

    def read(self, offset: int, count: int) -> bytes:
        """Return *count* bytes from *offset*."""
        return bytes(ffi.buffer(self.bytes + offset, count))

    def write(self, offset: int, data: bytes) -> None:
        """Overwrite the bytes from *offset* on."""
        ffi.memmove(self.bytes + offset, data, len(data))

    def word(self, offset: int) -> int:
        """Return the 64-bit word at *offset*."""
        return int(ffi.cast("uint64_t *", self.bytes + offset)[0])

    def set_word(self, offset: int, value: int) -> None:
        """Store a 64-bit word at *offset*."""
        ffi.cast("uint64_t *", self.bytes + offset)[0] = value


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot, decoded."""

    number: int
    state: State
    gen: int
    owner: int
    id: bytes
    kind: int
    out_len: int
    attempt: int
    starts: int
    crashes: int
    collaterals: int
    marks: int
    due_ns: int


def slot_view(segment: Memory, number: int) -> SlotView:
    """Return slot *number* of a core segment as it is now."""
    slot = ffi.cast("struct sa_slot *", segment.bytes + SLOTS_AT) + number
    word = int(slot.word)
    var = slot.var[word >> 59 & 1]
    return SlotView(
        number=number,
        state=State(word >> 60),
        gen=word & 0xFFFFFFFF,
        owner=word >> 44 & 0xFFF,
        id=bytes(ffi.buffer(slot.id, 16)),
        kind=slot.out_kind,
        out_len=slot.out_len,
        attempt=var.attempt,
        starts=var.starts,
        crashes=var.crashes,
        collaterals=var.collaterals,
        marks=var.marks,
        due_ns=var.due_ns,
    )
