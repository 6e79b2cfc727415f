"""What the core knows of claims: who holds a unique key, who waits for a limit."""

from __future__ import annotations

from typing import Final, NamedTuple

from stem_actor.ring.core import NO_SLOT, Core, SlotView
from stem_actor.ring.native import ffi, lib

__all__ = ["NO_LIMITER", "Duplicate", "duplicates_of", "limit_of", "locate"]

NO_LIMITER: Final = 3
"""What a task waits for whose limit finds no room beside all others."""

_LATEST: Final = 16


class Duplicate(NamedTuple):
    """An enqueue that was answered with a live task's id; *at_ns* is wall time."""

    task_id: bytes
    at_ns: int


def locate(core: Core, task_id: bytes) -> SlotView | None:
    """Return the slot of a task, or of the one that an enqueue was answered with."""
    number = lib.sa_core_locate(core.handle, task_id)
    return None if number == NO_SLOT else core.slot(number)


def duplicates_of(core: Core, number: int) -> tuple[int, list[Duplicate]]:
    """Return how many enqueues had the task of a slot for answer, and the last 16."""
    rows = ffi.new("struct sa_duplicate[]", _LATEST)
    known = ffi.new("uint32_t *")
    total = lib.sa_core_duplicates(core.handle, number, rows, _LATEST, known)
    latest = [
        Duplicate(bytes(ffi.buffer(row.id, 16)), int(row.at_ns))
        for row in rows[0 : known[0]]
    ]
    return int(total), latest


def limit_of(core: Core, number: int) -> int:
    """Return the kind of the claim that a ready slot waits for; 0: for none."""
    return int(lib.sa_core_limited_by(core.handle, number))
