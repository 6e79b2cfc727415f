"""Processes as /proc shows them: children, descendants, memory, processor time."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "Footprint",
    "children_of",
    "descendants_of",
    "family_of",
    "footprint_of",
    "name_of",
    "pss_of",
    "state_of",
]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_TICK_NS: Final = 10**9 // os.sysconf("SC_CLK_TCK")
_DESCENDANTS_MAX: Final = 32
#: With more threads than that, all processes of the machine are fewer to look at.
_THREADS_MAX: Final = 64


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
    if len(threads) > _THREADS_MAX:
        return [it for it in _processes() if _parent_of(it) == pid]
    for thread in threads:
        try:
            text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
        except OSError:
            continue
        found += map(int, text.split())
    return found


def family_of(pid: int) -> list[int]:
    """Return every descendant of *pid* that there is now."""
    found: list[int] = []
    waiting, seen = children_of(pid), {pid}
    while waiting:
        child = waiting.pop()
        if child not in seen:  # a pid may be given again meanwhile
            seen.add(child)
            found.append(child)
            waiting += children_of(child)
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


def pss_of(pid: int) -> int | None:
    """
    Return the bytes of *pid* in memory, a page that others share counted by its share;
    None if it is gone. Takes some 10 ms a gigabyte.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    found = _PSS.search(text)
    return None if found is None else int(found[1]) * 1024


def state_of(pid: int) -> str:
    """Return the letter of the state of *pid*, ``"?"`` if it is gone."""
    fields = _stat(pid)
    return "?" if fields is None else fields[0]


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent_of(pid: int) -> int:
    fields = _stat(pid)
    return 0 if fields is None else int(fields[1])


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
