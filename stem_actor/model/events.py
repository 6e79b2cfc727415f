"""Events: what happens to tasks and workers, for those who watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from stem_actor.model.error import TaskError
from stem_actor.model.state import TaskState
from stem_actor.model.verdict import Verdict

__all__ = [
    "Event",
    "EventsDropped",
    "TaskCancelled",
    "TaskEvent",
    "TaskFailed",
    "TaskHeartbeat",
    "TaskLapsed",
    "TaskProgress",
    "TaskReceived",
    "TaskReplayed",
    "TaskRetried",
    "TaskRunEnded",
    "TaskStarted",
    "TaskSucceeded",
    "TaskTimeout",
    "WorkerDied",
    "WorkerEvent",
    "WorkerEventType",
    "WorkerReady",
    "WorkerStopped",
    "WorkerStopping",
]


class WorkerEventType(StrEnum):
    """The eight kinds of event that a worker tells of; see ``Event.type``."""

    HEARTBEAT = "heartbeat"
    PROGRESS = "progress"
    TIMEOUT = "timeout"
    COMPLETED = "completed"
    RETRIED = "retried"
    FAILED = "failed"
    REVOKED = "revoked"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    Something that has happened.

    Attributes:
        at: When it happened, UTC.
        signal: The name of the signal that it is.
        type: The kind of worker event that it is; None: none of them.
    """

    signal: ClassVar[str] = ""
    type: ClassVar[WorkerEventType | None] = None

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent(Event):
    """
    Something that has happened to a task.

    Attributes:
        task_id: Whose it is.
        name: The task's name.
        queue: Its queue.
        attempt: 0-based number of the try that it speaks of.
        starts: How often the handler had been started by then, that try included.
        worker: Index of the worker it happened in; None: in none.
        pid: Its process.
        meta: What the handler had stored in ``context.meta``, where it is told.
    """

    task_id: str
    name: str
    queue: str
    attempt: int = 0
    starts: int = 0
    worker: int | None = None
    pid: int | None = None
    meta: Mapping[str, object] = field(default_factory=dict)


class TaskReceived(TaskEvent):
    """The supervisor has taken it on: from here on it is not lost."""

    __slots__ = ()
    signal = "task-received"


class TaskStarted(TaskEvent):
    """Its handler is about to run."""

    __slots__ = ()
    signal = "task-prerun"


class TaskSucceeded(TaskEvent):
    """It has succeeded; its result is with its handle, and kept for ``status``."""

    __slots__ = ()
    signal = "task-succeeded"
    type = WorkerEventType.COMPLETED


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed(TaskEvent):
    """
    It has failed for good.

    Attributes:
        error: Why; its ``verdict`` says how the last start ended.
    """

    signal: ClassVar[str] = "task-failed"
    type: ClassVar[WorkerEventType | None] = WorkerEventType.FAILED

    error: TaskError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRetried(TaskEvent):
    """
    An attempt has failed and another one follows.

    Attributes:
        error: Why; its ``verdict`` says how the start ended.
        delay: Seconds until the next attempt may start.
    """

    signal: ClassVar[str] = "task-retry"
    type: ClassVar[WorkerEventType | None] = WorkerEventType.RETRIED

    error: TaskError
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCancelled(TaskEvent):
    """
    It was revoked, by a call or by its own handler, or its ring was stopped.

    Attributes:
        reason: Why, in the words of who did it.
        detail: What its handler said besides, if it was the handler.
    """

    signal: ClassVar[str] = "task-revoked"
    type: ClassVar[WorkerEventType | None] = WorkerEventType.REVOKED

    reason: str
    detail: str | None = None


class TaskLapsed(TaskEvent):
    """It was cancelled unstarted: its ``expires`` or ``deadline`` had passed."""

    __slots__ = ()
    signal = "task-expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReplayed(TaskEvent):
    """
    A start was lost with its worker, and the same attempt runs again.

    Attributes:
        reason: ``"crashed"``: the worker died by itself, ``"collateral"``: it was
            ended for another reason.
        verdict: How that start has ended; told here alone, as another one follows.
            Of what it left behind, ``swept``, nothing is known yet. None: it cannot
            be read.
    """

    signal: ClassVar[str] = "task-replayed"

    reason: Literal["crashed", "collateral"]
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTimeout(TaskEvent):
    """
    A start has run into a time limit.

    Attributes:
        level: ``"soft"``: it is being interrupted, unless ``soft_limit="event"``;
            ``"hard"``: it has been ended, and an error follows.
        limit: Seconds, with what ``extend_limit`` had added; None: its ``deadline``
            had come.
    """

    signal: ClassVar[str] = "task-timeout"
    type: ClassVar[WorkerEventType | None] = WorkerEventType.TIMEOUT

    level: Literal["soft", "hard"]
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProgress(TaskEvent):
    """
    Its handler has said how far it is.

    Attributes:
        percent: 0 to 100.
        data: What it said besides.
    """

    signal: ClassVar[str] = "task-progress"
    type: ClassVar[WorkerEventType | None] = WorkerEventType.PROGRESS

    percent: float
    data: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHeartbeat(TaskEvent):
    """
    Its handler has said that it is alive.

    Attributes:
        extends: Seconds by which it extends its lease; 0: a mere heartbeat.
    """

    signal: ClassVar[str] = "task-heartbeat"
    type: ClassVar[WorkerEventType | None] = WorkerEventType.HEARTBEAT

    extends: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRunEnded(TaskEvent):
    """
    A start has ended; told behind the event that says what it has led to.

    Attributes:
        state: What the task is now; ``queued``: the same attempt runs again.
    """

    signal: ClassVar[str] = "task-postrun"

    state: TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent(Event):
    """
    Something that has happened to a worker.

    Attributes:
        worker: Its index.
        pid: Its process.
    """

    worker: int
    pid: int


class WorkerReady(WorkerEvent):
    """Its process has come up; it takes tasks, or is the spare."""

    __slots__ = ()
    signal = "worker-ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStopping(WorkerEvent):
    """
    It gets no more tasks, and is replaced unless its ring ends.

    Attributes:
        reason: ``"stop"``: its ring ends; ``"tasks"``: it has had its share of them;
            ``"memory"``: it is above the soft mark, or was killed above the hard
            one; ``"zombies"``: it reaps no children; else what it was killed for,
            as in ``WorkerDied``.
    """

    signal: ClassVar[str] = "worker-stopping"

    reason: str


class WorkerStopped(WorkerEvent):
    """It has left in peace."""

    __slots__ = ()
    signal = "worker-shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDied(WorkerEvent):
    """
    It has died by itself, or was killed.

    Attributes:
        signal_number: The signal that ended it; None: it exited.
        exit_status: Its exit status; None: a signal ended it.
        oom: Whether the kernel killed it for want of memory.
        reason: What it was killed for, in a word; None: not by us.
    """

    signal: ClassVar[str] = "worker-died"
    type: ClassVar[WorkerEventType | None] = WorkerEventType.ERROR

    signal_number: int | None = None
    exit_status: int | None = None
    oom: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped(Event):
    """
    Events before this one are missing.

    Attributes:
        count: How many; None: nobody knows, for the supervisor was replaced.
    """

    signal: ClassVar[str] = "events-dropped"

    count: int | None
