"""The spool keeper: removes the files of tasks that need them no more."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from stem_actor.clock import Clock
from stem_actor.errors import RingCorrupt
from stem_actor.ring.core import Core, Event, State
from stem_actor.ring.record import SPOOLED, unpack_record
from stem_actor.ring.spool import RESULT_SUFFIX, args_name, claimed_name, result_name

__all__ = ["SpoolKeeper"]

#: A spooled result outlives its slot so long: its claim check has been delivered,
#: but the handle may not have read it.
_RESULT_LINGERS_S: Final = 60.0
#: A file that no task claims is kept so long: its producer may still wait for room.
_ORPHAN_NS: Final = 3600 * 10**9
#: Results are looked for of so many starts, the last ones; a start that was killed
#: may have left one, and what is older goes with the next supervisor's sweep.
_STARTS: Final = 64


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_later(self, delay: float, callback: Any, *args: Any) -> object: ...


class Letters(Protocol):
    """The part of the dead letters that is needed here."""

    def __contains__(self, task_id: bytes, /) -> bool: ...


class SpoolKeeper:
    """
    Knows every file by name, from the claim check that stands for it: nothing here
    but the sweep at the start looks through the directory.

    Args:
        path: The spool directory.
        core: Holds the slots.
        letters: A replay needs the arguments of those.
        loop: For results that linger.
        clock: Tells how old a file is.
    """

    def __init__(
        self, path: Path, core: Core, letters: Letters, loop: Loop, clock: Clock
    ) -> None:
        self._path = path
        self._core = core
        self._letters = letters
        self._loop = loop
        self._clock = clock

    def on_freed(self, event: Event) -> None:
        """A task has ended, and its arguments may go; or its slot is gone, too."""
        if event.a:
            token = event.b.to_bytes(8, "little").decode("ascii", "replace")
            self._remove(args_name(event.task_id, token, event.a - 1))
            return
        for starts in range(max(1, event.b - _STARTS + 1), event.b + 1):
            path = self._path / result_name(event.task_id, starts)
            if path.exists():  # it may still be on its way into a handle
                self._loop.call_later(_RESULT_LINGERS_S, _unlink, path)

    def drop(self, records: Iterable[bytes]) -> None:
        """Remove the spooled arguments of dead letters, by their task *records*."""
        for record in records:
            with suppress(RingCorrupt, UnicodeDecodeError):  # it names no file
                task = unpack_record(record)
                name = claimed_name(task.body) if task.head.flags & SPOOLED else None
                if name is not None:
                    self._remove(name)

    def sweep(self) -> None:
        """
        Remove old files of no task: a producer died before it had submitted one, or a
        supervisor after it had freed the slot.
        """
        latest_ns = self._clock.wall_ns() - _ORPHAN_NS
        for path in self._path.iterdir():
            # Not a name of ours; or a producer is just giving it its last one.
            with suppress(ValueError, FileNotFoundError):
                task_id = bytes.fromhex(path.name[:32])
                is_old = path.stat().st_mtime_ns < latest_ns
                if is_old and not self._is_needed(task_id, path):
                    _unlink(path)

    def _remove(self, name: str) -> None:
        if "/" not in name:  # else nobody of ours has made it
            _unlink(self._path / name)

    def _is_needed(self, task_id: bytes, path: Path) -> bool:
        slot = self._core.find(task_id)
        is_over = slot is None or slot.state == State.FINISHED
        if slot is not None and (path.suffix == RESULT_SUFFIX or not is_over):
            return True
        return task_id in self._letters or (
            slot is None and self._core.submitted(task_id) is not None
        )


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
