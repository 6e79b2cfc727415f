"""TaskState: where a task is in its life, and which moves exist."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["LEGAL_MOVES", "TaskState"]


class TaskState(StrEnum):
    """
    The stored state of a task.

    Waiting (for a rate limit, a paused queue, a worker that knows the handler) is
    ``queued`` with a waiting reason. ``retried`` means only that an attempt failed
    and another one follows.
    """

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the task has ended; no move leaves a terminal state."""
        return not LEGAL_MOVES[self]

    def may_become(self, state: TaskState) -> bool:
        """Return whether a task in this state may move to *state*."""
        return state in LEGAL_MOVES[self]


LEGAL_MOVES: Final[dict[TaskState, frozenset[TaskState]]] = {
    # failed: an unreadable payload or a bad signature ends a task unstarted.
    TaskState.QUEUED: frozenset(
        {TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELLED}
    ),
    # queued: the start was lost with its worker and the same attempt runs again.
    TaskState.RUNNING: frozenset(
        {
            TaskState.QUEUED,
            TaskState.SUCCEEDED,
            TaskState.FAILED,
            TaskState.RETRIED,
            TaskState.CANCELLED,
        }
    ),
    TaskState.RETRIED: frozenset(
        {TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELLED}
    ),
    TaskState.SUCCEEDED: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}
