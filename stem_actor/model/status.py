"""TaskStatus: the stored view of one task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stem_actor.model.error import TaskError
from stem_actor.model.readers import MetaReaders, PayloadReaders
from stem_actor.model.state import TaskState
from stem_actor.model.verdict import Verdict

__all__ = ["TaskStatus"]


@dataclass(frozen=True, slots=True)
class TaskStatus(PayloadReaders, MetaReaders):
    """
    What a store knows about a task.

    Attributes:
        id: The task's id as text.
        state: Where it is in its life.
        payload: The stored result, a wire value; None until it has succeeded. It is
            decoded, unless whoever asked has no encoders.
        error: The latest error; None if there was none.
        meta: Facts kept with the task, wire values only.
        attempt: 0-based number of the try that this status speaks of.
        starts: How often the handler was really started, replays included.
        created_at: When the task was enqueued, UTC; None where no store kept it.
        updated_at: When this status was written, UTC; None likewise.
        verdict: How the last start ended; None before the first end, and for a task
            that ended without a start.
    """

    id: str
    state: TaskState
    payload: object = None
    error: TaskError | None = None
    meta: Mapping[str, object] = field(default_factory=dict)
    attempt: int = 0
    starts: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    verdict: Verdict | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the task has ended."""
        return self.state.is_terminal

    def _stored(self) -> object:
        return self.payload
