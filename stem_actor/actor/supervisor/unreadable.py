"""Unreadable: tasks that make no sense are given up, so that they stop no other."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from typing import Final

from stem_actor.actor.supervisor.limits import Limits
from stem_actor.ids import format_id
from stem_actor.model.error import TaskError
from stem_actor.ring.core import NO_SLOT, Core, Event, Fault, SlotView, State
from stem_actor.ring.native import Status, ffi, lib
from stem_actor.tasks.outcome import pack_failure

__all__ = ["Unreadable"]

_REASON: Final = "unreadable"
_MESSAGE_MAX: Final = 500
#: The whole traceback of so many goes into the log; of the others, one line.
_TRACEBACKS: Final = 10


class Unreadable:
    """
    Whatever goes wrong with one task ends with that task: it is logged by its id,
    counted, and fails as a dead letter with the reason ``unreadable``.

    Attributes:
        count: Tasks, and events of tasks, that could not be read so far.
    """

    def __init__(self, core: Core, limits: Limits) -> None:
        self._core = core
        self._limits = limits
        #: Slot and generation of those that are not settled yet, and what was wrong.
        self._known: dict[tuple[int, int], Exception] = {}
        self.count = 0

    def on_event(self, event: Event, error: Exception) -> None:
        """What *event* asked for has failed; give its task up, unless it has ended."""
        slot = None if event.slot == NO_SLOT else self._core.slot(event.slot)
        if slot is None or slot.gen != event.gen:
            self.note(event.task_id, error)
        elif slot.state in (State.FREE, State.FINISHED) or isinstance(error, OSError):
            self.note(slot.task_id, error)
        else:
            self.give_up(slot, error)

    def has(self, slot: SlotView) -> bool:
        """Whether *slot* is to be given up, and there was no way to do it yet."""
        return (slot.number, slot.gen) in self._known

    def finish(self, slot: SlotView) -> bool:
        """Give *slot* up, which is known; False if there is no room to say so."""
        return self.give_up(slot, self._known[slot.number, slot.gen])

    def give_up(self, slot: SlotView, error: Exception) -> bool:
        """
        Let the task of *slot* fail because of *error*; one that runs is ended first.

        Returns:
            False if there was no room to say so, or its end is still to come: try
            again when it is HELD.
        """
        key = slot.number, slot.gen
        if key not in self._known:
            self._known[key] = error
            self.note(slot.task_id, error)
        payload = pack_failure(_failure(slot, error))
        rc = lib.sa_core_give_up(
            self._core.handle, *key, ffi.from_buffer(payload), len(payload)
        )
        if rc == Status.FULL:
            return False
        start = None if rc == Status.OK else self._limits.start_of(slot)
        if start is None:
            del self._known[key]
            return True
        self._limits.end(start, Fault.CORRUPT, reason=_REASON)
        return False

    def note(self, task_id: bytes, error: Exception) -> None:
        """Count and log what is wrong with a task."""
        self.count += 1
        name = format_id(task_id) if any(task_id) else "(unknown)"
        with suppress(OSError):  # the log may lie on a full file system
            print(
                f"stem-supervisor: task {name} cannot be read, and is given up: "
                f"{type(error).__name__}: {str(error)[:_MESSAGE_MAX]}",
                file=sys.stderr,
            )
            if self.count <= _TRACEBACKS:
                traceback.print_exception(error)


def _failure(slot: SlotView, error: Exception) -> TaskError:
    text = f"the task cannot be read: {type(error).__name__}: {error}"
    return TaskError(
        type="Unreadable",
        message=text[:_MESSAGE_MAX].encode(errors="replace").decode(),
        meta={
            "reason": _REASON,
            "attempt": slot.attempt,
            "starts": slot.starts,
            "crashes": slot.crashes,
        },
    )
