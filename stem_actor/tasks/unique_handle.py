"""UniqueHandle: the handle of a task that may turn out to be another one."""

from __future__ import annotations

from typing import TypeVar

from stem_actor.ids import format_id
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.outcome import OutcomeReader
from stem_actor.tasks.ports import ResultSource

__all__ = ["UniqueHandle"]

R_co = TypeVar("R_co", covariant=True)


class UniqueHandle(TaskHandle[R_co]):
    """
    The handle of a ``unique`` task.

    If a task with the same key is live already, it stands for that one. ``enqueue``
    waits for no answer, so the first look at ``id`` may ask the supervisor, once.
    """

    __slots__ = ("_is_sure",)

    def __init__(
        self, raw_id: bytes, source: ResultSource, reader: OutcomeReader
    ) -> None:
        super().__init__(raw_id, source, reader)
        self._is_sure = False

    @property
    def id(self) -> str:
        """
        The id of the task that it stands for.

        Raises:
            BrokerUnavailable: If nobody answers; in a running event loop for a tenth
                of a second, else for ten.
        """
        if not self._is_sure:
            self.renamed(self._source.identify(self._raw_id))
        return format_id(self._raw_id)

    def renamed(self, task_id: bytes) -> None:
        self._raw_id = task_id
        self._is_sure = True

    def settle(self, kind: int, attempt: int, starts: int, payload: bytes) -> None:
        self._is_sure = True  # its own reply, or that of the task it was renamed to
        super().settle(kind, attempt, starts, payload)
