"""Steering: what may be asked of, and done to, a running ring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from stem_actor.control.dead_letters import DeadLetters
from stem_actor.control.queue import QueueControl
from stem_actor.ids import parse_id
from stem_actor.model.status import TaskStatus
from stem_actor.tasks.ports import Connection

__all__ = ["Steering", "WorkerInfo"]


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """
    A worker at one instant.

    Attributes:
        index: Which one it is, from 0; the same for each process in its place.
        pid: Its process; 0: it is being replaced.
        phase: What it does, in a word.
        is_spare: Whether it waits for another's death and takes no tasks yet.
        incarnation: How many processes were in its place, this one included.
        finished: Tasks that were finished in its place.
    """

    index: int
    pid: int
    phase: str
    is_spare: bool
    incarnation: int
    finished: int


class Steering(ABC):
    """The verbs of an app that look at its ring, or steer it."""

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """
        The connection to the ring.

        Raises:
            AppNotStarted: If there is no ring.
        """

    def status(self, task_id: str) -> TaskStatus | None:
        """
        Return what is known about a task; None for an unknown id.

        Raises:
            ValueError: If *task_id* is no task id.
        """
        return self.connection.status(parse_id(task_id))

    def revoke(
        self, task_id: str, *, terminate: bool = False, reason: str | None = None
    ) -> bool:
        """
        Forbid a task to run, with *terminate* also to go on; False: too late.

        Raises:
            ValueError: If *task_id* is no task id.
        """
        raw_id = parse_id(task_id)
        return self.connection.revoke(raw_id, terminate=terminate, reason=reason)

    def queue(self, name: str) -> QueueControl:
        """Return the control of one queue."""
        return QueueControl(self.connection, name)

    def dead_letters(self, queue: str | None = None) -> DeadLetters:
        """Return the tasks that failed for good, all or those of *queue*."""
        return DeadLetters(self.connection, queue)

    def workers(self) -> list[WorkerInfo]:
        """Return the workers, the spare included."""
        return [
            WorkerInfo(
                index=row["index"],
                pid=row["pid"],
                phase=row["phase"],
                is_spare=row["spare"],
                incarnation=row["incarnation"],
                finished=row["finished"],
            )
            for row in self.connection.request("workers")["workers"]
        ]

    def stats(self) -> dict[str, Any]:
        """Return the ring's counters, such as ``ready``, ``live`` and ``finished``."""
        return self.connection.request("stats")

    def health(self) -> dict[str, Any]:
        """Return ``ok``, and the ``problems`` if it is not."""
        return self.connection.request("health")

    def quiet(self) -> None:
        """Start no more tasks; what runs goes on. Nothing but a stop follows."""
        self.connection.request("quiet")
