"""The ports of whatever waits for tasks by their ids, beside enqueueing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from stem_actor.model.duration import Duration
from stem_actor.model.result import TaskResult
from stem_actor.tasks.call import TaskEnqueuer
from stem_actor.tasks.found import FoundTask

__all__ = ["TaskFinder", "TaskResultCaller"]

V = TypeVar("V")


class TaskFinder(TaskEnqueuer, Protocol):
    """The inner side of an app, which also finds tasks by their ids."""

    def find(self, task_id: str, decode: Callable[[Any], V]) -> FoundTask[V]:
        """
        Return a handle of any task; *decode* reads its result.

        Raises:
            ValueError: If *task_id* is no task id.
        """
        ...


class TaskResultCaller(TaskEnqueuer, Protocol):
    """Whatever also waits for tasks by their ids."""

    def wait_for_task(
        self,
        task_id: str,
        *,
        timeout: Duration | None = None,
        decode: Callable[[Any], V],
    ) -> TaskResult[V]:
        """
        Return how a task ended, waiting for that; a failure is not raised.

        Args:
            task_id: Of a task that any process has enqueued.
            timeout: Longest wait; None: until the task has ended.
            decode: Returns the value of a stored result.

        Raises:
            ValueError: If *task_id* is no task id.
        """
        ...
