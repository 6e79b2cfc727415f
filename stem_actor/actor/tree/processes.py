"""Processes as /proc shows them: children, descendants, memory, processor time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "Footprint",
    "children_of",
    "descendants_of",
    "footprint_of",
    "name_of",
    "state_of",
]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK_NS: Final = 10**9 // os.sysconf("SC_CLK_TCK")
_DESCENDANTS_MAX: Final = 32


class Footprint(NamedTuple):
    """What a process uses: resident bytes, and processor time so far."""

    rss: int
    cpu_ns: int


def children_of(pid: int) -> list[int]:
    """Return the children of every thread of *pid*; none if it is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
        except OSError:
            continue
        found += map(int, text.split())
    return found


def descendants_of(pid: int) -> tuple[str, ...]:
    """Return ``"name (pid)"`` of *pid*'s descendants, nearest first; at most 32."""
    found: list[str] = []
    waiting = children_of(pid)
    seen = {pid}
    while waiting and len(found) < _DESCENDANTS_MAX:
        child = waiting.pop(0)
        if child in seen:
            continue
        seen.add(child)
        found.append(f"{name_of(child)} ({child})")
        waiting += children_of(child)
    return tuple(found)


def footprint_of(pid: int) -> Footprint | None:
    """Return what *pid* uses, its waited-for children's time included."""
    fields = _stat(pid)
    if fields is None:
        return None
    # man proc: 14 utime, 15 stime, 16 cutime, 17 cstime, 24 rss; from 3 on here.
    ticks = sum(int(it) for it in fields[11:15])
    return Footprint(int(fields[21]) * _PAGE, ticks * _TICK_NS)


def state_of(pid: int) -> str:
    """Return the letter of the state of *pid*, ``"?"`` if it is gone."""
    fields = _stat(pid)
    return "?" if fields is None else fields[0]


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def name_of(pid: int) -> str:
    """Return the name of *pid*, ``"gone"`` if it is."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"
