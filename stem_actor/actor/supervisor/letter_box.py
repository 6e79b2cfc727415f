"""The letter box: from slots that owe a dead letter to the file that keeps them."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

from stem_actor.actor.supervisor.dead_letters import DeadLetter, DeadLetterStore
from stem_actor.errors import RingCorrupt
from stem_actor.ring.core import Core, Event, SlotView, State
from stem_actor.ring.native import lib
from stem_actor.ring.record import unpack_record

__all__ = ["LetterBox"]

_AGAIN_S: Final = 0.5
#: Name and queue of a task whose record cannot be read.
_UNREADABLE: Final = "(unreadable)"
#: The share of slots that may wait for the file; they cannot be given to others.
_SHARE: Final = 16


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_later(self, delay: float, callback: Any, *args: Any) -> object: ...


class LetterBox:
    """
    Writes letters, first the file and then the slot; a supervisor that dies between
    repeats itself without harm.

    While the file cannot be written (no room, no descriptor) their slots keep them,
    and it is tried again twice a second. A sixteenth of all slots may wait so; beyond
    that the oldest is dropped and counted.

    Args:
        core: Holds the slots.
        store: The file.
        loop: For the next try.
        drop_spooled: Removes the spooled arguments of letters that are gone, given
            their records.
        note: Told of a task whose record cannot be read; its letter says little.

    Attributes:
        problem: Why the file cannot be written now; None: it can.
    """

    def __init__(
        self,
        core: Core,
        store: DeadLetterStore,
        loop: Loop,
        drop_spooled: Callable[[Iterable[bytes]], None],
        note: Callable[[bytes, Exception], None],
    ) -> None:
        self._core = core
        self._store = store
        self._loop = loop
        self._drop_spooled = drop_spooled
        self._note = note
        self._waiting: list[tuple[int, int]] = []
        self.problem: str | None = None

    def post(self, events: Iterable[Event]) -> None:
        """Write down what *events* name, with what waits already."""
        self._waiting += [(event.slot, event.gen) for event in events]
        if self.problem is None:
            self._write()
        else:
            self._bound()

    def _write(self) -> None:
        slots = [slot for slot in map(self._slot, self._waiting) if slot is not None]
        try:
            gone = self._store.add([self._letter(slot) for slot in slots])
        except sqlite3.Error as error:
            if self.problem is None:
                with suppress(OSError):  # the log lies on the same file system
                    print(f"stem-supervisor: dead letters: {error}", file=sys.stderr)
            self.problem = f"dead letters cannot be written: {error}"
            self._bound()
            self._loop.call_later(_AGAIN_S, self._write)
            return
        self.problem = None
        self._waiting = []
        self._drop_spooled(gone)
        for slot in slots:
            self._let_go(slot)

    def _bound(self) -> None:
        room = max(1, self._core.slots // _SHARE)
        surplus, self._waiting = self._waiting[:-room], self._waiting[-room:]
        lost = [slot for slot in map(self._slot, surplus) if slot is not None]
        self._store.count_dropped(len(lost))
        self._drop_spooled([self._core.record(slot) for slot in lost])
        for slot in lost:
            self._let_go(slot)

    def _slot(self, key: tuple[int, int]) -> SlotView | None:
        """The slot, unless it went on without its letter."""
        number, gen = key
        slot = self._core.slot(number)
        return slot if (slot.gen, slot.state) == (gen, State.FINISHED) else None

    def _let_go(self, slot: SlotView) -> None:
        lib.sa_core_dead_lettered(self._core.handle, slot.number, slot.gen)

    def _letter(self, slot: SlotView) -> DeadLetter:
        record = self._core.record(slot)
        name = queue = _UNREADABLE
        try:
            head = unpack_record(record).head
            name, queue = head.name, head.queue
        except (RingCorrupt, ValueError) as error:
            self._note(slot.task_id, error)
        return DeadLetter(
            task_id=slot.task_id,
            name=name,
            queue=queue,
            attempt=slot.attempt,
            starts=slot.starts,
            crashes=slot.crashes,
            died_ns=slot.finished_ns,
            record=record,
            error=self._core.outcome(slot),
        )
