"""
A supervisor killed at every line of a worker's birth, from the first ring that it opens
to the offers that it lets a newborn have: the next one has one worker for each index,
and nobody is left over.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from stem_actor import StemApp
from stem_actor.actor.host import host
from tests.fault.chaos import Tree
from tests.fault.conftest import IS_LONG, Place
from tests.fault.scarcity import add_handlers
from tests.fault.soak import wait_until

#: Runs a supervisor that dies at the line whose number a shared page holds, of those
#: that it passes in the functions that bring workers up.
BOOT: Final = """
import mmap, os, signal, struct, sys
sys.path[:0] = {path!r}
from stem_actor.actor.supervisor.crew import Crew
from stem_actor.actor.supervisor.supervisor import main

STEPS = (Crew.open_rings, Crew.start, Crew.ask, Crew.on_born, Crew._balance)
CODES = {{step.__code__ for step in STEPS}}
with open({page!r}, "r+b") as file:
    page = mmap.mmap(file.fileno(), 4096)

def on_line(frame, event, _):
    if event == "line":
        hits, armed = struct.unpack_from("=II", page)
        struct.pack_into("=I", page, 0, hits + 1)
        if hits + 1 == armed:
            place = f"{{frame.f_code.co_name}}:{{frame.f_lineno}}".encode()
            struct.pack_into("=I", page, 72, os.getpid())
            page[8 : 8 + len(place)] = place
            os.kill(os.getpid(), signal.SIGKILL)
    return on_line

sys.settrace(lambda frame, *_: on_line if frame.f_code in CODES else None)
main()
"""
_PAGE: Final = 4096
#: Between two lines that a short run tries; the long one tries all.
_STRIDE: Final = 1 if IS_LONG else 8
_LINES_MAX: Final = 1000
_SETTLE_S: Final = 30.0


class Page:
    """What the supervisors share with the test."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_PAGE))
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _PAGE)

    @property
    def place(self) -> str:
        """Where the last victim died; empty: it has not."""
        return self._map[8:72].rstrip(b"\0").decode()

    @property
    def victim(self) -> int:
        """Its pid; it may live for some microseconds yet."""
        return int(struct.unpack_from("=I", self._map, 72)[0])

    def arm(self, line: int) -> None:
        """Have the next supervisor die at its *line*th line."""
        self._map[8:72] = bytes(64)
        struct.pack_into("=II", self._map, 0, 0, line)

    def close(self) -> None:
        self._map.close()


def is_whole(app: StemApp) -> bool:
    """One worker for each of two indexes, two zygotes, and nobody else."""
    tree = Tree(app.directory)
    guardian, supervisor, sample = tree.guardian(), tree.supervisor(), tree.sample()
    if guardian is None or supervisor is None or sample is None:
        return False
    rows = [row.pid for row in sample.workers[:2]]
    others = [row.pid for row in sample.workers[2:] if row.pid]
    # Orphans are adopted by the guardian: what is below it is all there is.
    below = {it.pid for it in psutil.Process(guardian).children(recursive=True)}
    zygotes = below - {supervisor, *rows}
    return (
        len(set(rows)) == 2
        and all(rows)
        and not others
        and {*rows, supervisor} <= below
        and zygotes == set(tree.zygotes())
        and len(zygotes) == 2
    )


def test_a_supervisor_killed_at_any_line_of_a_birth_leaves_one_worker_for_each_index(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(place.root / "lines.page")

    def argv(directory: Path, python: str) -> tuple[str, ...]:
        boot = BOOT.format(path=sys.path, page=str(page.path))
        return (python, "-I", "-c", boot, str(directory))

    monkeypatch.setattr(host, "supervisor_argv", argv)
    died: dict[str, int] = {}
    with add_handlers(place.app(workers=1)) as app:
        assert wait_until(lambda: is_whole(app), _SETTLE_S), app.workers()
        for line in range(1, _LINES_MAX, _STRIDE):
            owner = app.directory.owner()
            assert owner, f"it has died again, after {page.place}"
            page.arm(line)
            os.kill(owner, signal.SIGKILL)
            echo = app.enqueue("echo", {"number": line})
            assert echo.wait(_SETTLE_S).value == line, page.place
            # Its last lines come after the offers that the echo needs.
            has_died = wait_until(lambda: bool(page.place), 2.0)
            gone = page.victim
            whole = wait_until(
                lambda pid=gone: app.directory.owner() != pid and is_whole(app),
                _SETTLE_S,
            )
            assert whole, (page.place, app.workers())
            if not has_died:
                break  # it passes fewer lines than that
            died[page.place] = line
        stats = app.stats()
    page.close()

    assert stats["corrupt"] == 0
    functions = {place.partition(":")[0] for place in died}
    assert functions == {"open_rings", "start", "ask", "on_born", "_balance"}
    assert len(died) >= (60 if IS_LONG else 12)
