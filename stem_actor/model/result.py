"""TaskResult: what waiting for a task came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from stem_actor.model.readers import PayloadReaders
from stem_actor.model.state import TaskState
from stem_actor.model.status import TaskStatus

__all__ = ["TaskResult"]

R_co = TypeVar("R_co", covariant=True)
D = TypeVar("D")


@dataclass(frozen=True)  # with slots, CPython 3.11 breaks ``TaskResult[int](...)``
class TaskResult(PayloadReaders, Generic[R_co]):
    """
    The answer of ``wait``: an ended task, or the last view of one that has not.

    Attributes:
        task_id: The task's id as text.
        status: The last status seen; None if none was seen before the time-out.
        value: The decoded result if the task succeeded, else None.
        raw_payload: The result as plain values, decoded if an encoder had made it.
        timed_out: Whether the wait ended before the task did.
    """

    task_id: str
    status: TaskStatus | None = None
    value: R_co | None = None
    raw_payload: object = None
    timed_out: bool = False

    @property
    def is_succeeded(self) -> bool:
        return self._is(TaskState.SUCCEEDED)

    @property
    def is_failed(self) -> bool:
        return self._is(TaskState.FAILED)

    @property
    def is_cancelled(self) -> bool:
        return self._is(TaskState.CANCELLED)

    def value_or(self, default: D) -> R_co | D:
        """Return the value of a task that succeeded, else *default*."""
        # A task may return None: then None is the value and not the lack of one.
        return self.required_value() if self.is_succeeded else default

    def required_value(self) -> R_co:
        """
        Return the value of a task that succeeded.

        Raises:
            LookupError: If the task has not succeeded; the message says what it
                did instead.
        """
        if not self.is_succeeded:
            raise LookupError(f"task {self.task_id} has no value: {self._account()}")
        return self.value  # type: ignore[return-value]

    def _stored(self) -> object:
        return self.raw_payload

    def _is(self, state: TaskState) -> bool:
        return self.status is not None and self.status.state is state

    def _account(self) -> str:
        if self.status is None:
            return "nothing is known about it yet"
        account = f"it is {self.status.state}"
        if self.status.error is not None:
            error = self.status.error
            account = f"{account} ({error.type}: {error.message})"
        return account
