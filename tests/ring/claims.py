"""Claims as they stand in a task record, and what the core says of them."""

from __future__ import annotations

import struct

from stem_actor._core import ffi, lib

from .harness import NONE, SECOND, Arena

CLAIM = struct.Struct("<HHIQ16s")
GROUP, RATE, UNIQUE = 1, 2, 3
CLOSED = 1


def key_of(number: int) -> bytes:
    """Return a key that is another one for each *number*."""
    return bytes(8) + number.to_bytes(8, "little")


def unique(key: int, for_ns: int = 0) -> bytes:
    """Claim to be the only live task with this key."""
    return CLAIM.pack(UNIQUE, 0, 0, for_ns, key_of(key))


def rate(key: int, tokens: int, span_ns: int = SECOND) -> bytes:
    """Claim one of *tokens* starts in any *span_ns*."""
    return CLAIM.pack(RATE, tokens, 0, span_ns, key_of(1 << 32 | key))


def group(
    key: int, tokens: int, span_ns: int = SECOND, *, is_closed: bool = False
) -> bytes:
    """The same for a group."""
    flags = CLOSED if is_closed else 0
    return CLAIM.pack(GROUP, tokens, flags, span_ns, key_of(2 << 32 | key))


def limited_by(arena: Arena, task_id: bytes) -> int:
    """Return the kind of limit that a task waits for; 0: for none."""
    number = lib.sa_core_find(arena.core, task_id)
    assert number != NONE
    return int(lib.sa_core_limited_by(arena.core, number))


def holder_of(arena: Arena, task_id: bytes) -> bytes | None:
    """Return the id of the task that an enqueue with *task_id* stands for."""
    number = lib.sa_core_locate(arena.core, task_id)
    return None if number == NONE else arena.slot(number).id


def duplicates_of(
    arena: Arena, task_id: bytes, cap: int = 64
) -> tuple[int, list[bytes]]:
    """Return how many duplicates a task had, and the ids of the latest."""
    out, rows = ffi.new("struct sa_duplicate[]", cap), ffi.new("uint32_t *")
    number = lib.sa_core_find(arena.core, task_id)
    total = lib.sa_core_duplicates(arena.core, number, out, cap, rows)
    return int(total), [bytes(ffi.buffer(row.id, 16)) for row in out[0 : rows[0]]]
