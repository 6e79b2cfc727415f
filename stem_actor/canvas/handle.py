"""CanvasHandle: one canvas that was submitted, as its producer sees it."""

from __future__ import annotations

from typing import TypeVar

from stem_actor.engine.plan_publish import PublishedPlan
from stem_actor.errors import CanvasError, ChainFailed, ChordFailed
from stem_actor.ids import format_id
from stem_actor.model.error import TaskError
from stem_actor.tasks.handle import TaskHandle

__all__ = ["CanvasHandle"]

R_co = TypeVar("R_co", covariant=True)


class CanvasHandle(TaskHandle[R_co]):
    """
    A canvas as a whole: its value, its end, its revocation.

    ``result()`` raises ``ChainFailed`` or ``ChordFailed`` as soon as a part of it has
    failed, expired or was revoked, and ``CanvasError`` for a group.
    """

    __slots__ = ("_part_ids",)

    def __init__(self, published: PublishedPlan) -> None:
        """Handles are made by the verbs of ``app.canvas``."""
        super().__init__(published.task_id, published.source, published.reader)
        self._part_ids = published.part_ids
        published.source.attach(published.ticket, self)

    @property
    def part_ids(self) -> list[str]:
        """The ids of its tasks, in the order in which they stand in the tree."""
        return [format_id(raw) for raw in self._part_ids]

    def _failure(self, error: TaskError) -> Exception:
        index, task_id = error.meta.get("index"), error.meta.get("taskId")
        if not isinstance(index, int) or not isinstance(task_id, str):
            return super()._failure(error)
        found: CanvasError
        if error.type == "ChainFailed":
            found = ChainFailed(index, task_id)
        elif error.type == "ChordFailed":
            found = ChordFailed(task_id)
        else:
            found = CanvasError(error.message)
        found.add_note(error.message)
        return found
