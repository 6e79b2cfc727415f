"""TaskCall: one prepared enqueue, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypedDict

from stem_actor.model.duration import Duration
from stem_actor.model.enqueue_options import TaskEnqueueOptions, TaskOptionsDict
from stem_actor.model.metadata import TaskMetadata
from stem_actor.model.options import TaskOptions
from stem_actor.tasks.handle import TaskHandle

__all__ = ["CallDefinition", "CallDict", "TaskCall", "TaskEnqueuer", "wait_time"]


class CallDefinition(Protocol):
    """What a call knows of a task whose handler may be elsewhere; a definition."""

    @property
    def name(self) -> str:
        """The task's name."""
        ...

    @property
    def place(self) -> str:
        """File and line of the definition."""
        ...

    @property
    def default_options(self) -> TaskOptions | None:
        """How it is to be run; None: as its handler says, if it is known here."""
        ...

    @property
    def metadata(self) -> TaskMetadata:
        """What is said about it."""
        ...

    def decode(self, payload: Any, /) -> Any:
        """Return the result that *payload*, as it was stored, stands for."""
        ...


class CallDict(TypedDict, total=False):
    """
    What may be said of one enqueue beside its arguments, as keywords.

    Attributes:
        headers: Text that travels with the task.
        meta: Facts that are kept with it.
        options: How it is to be run; merged over the task's own options.
        enqueue_options: What this enqueue says; merged over all others.
        not_before: Earliest start, an instant or from now.
    """

    headers: Mapping[str, str]
    meta: Mapping[str, object]
    options: TaskOptions | TaskOptionsDict | None
    enqueue_options: TaskEnqueueOptions | None
    not_before: datetime | Duration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCall:
    """
    A task that could be enqueued.

    Attributes:
        name: The task's name.
        args: Its arguments by name, as they cross the wire.
        headers: Text that travels with the task, and on to its children where a
            header is one of trace or tenant.
        meta: Facts that are kept with the task.
        options: How it is to be run; merged over the task's own options.
        enqueue_options: What this enqueue says; merged over all others.
        not_before: Earliest start, if neither ``eta`` nor ``countdown`` is given.
        definition: What it was built from; None: the task must be registered where it
            is enqueued.

    Raises:
        TypeError: If *name* is no text, or *enqueue_options* are something else.
    """

    name: str
    args: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, object] = field(default_factory=dict)
    options: TaskOptions | TaskOptionsDict | None = None
    enqueue_options: TaskEnqueueOptions | None = None
    not_before: datetime | Duration | None = None
    definition: CallDefinition | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(
                f"a task is named by a str, not by {self.name!r}; pass its name, or "
                "call enqueue on the task itself"
            )
        if not isinstance(self.enqueue_options, TaskEnqueueOptions | None):
            raise TypeError(
                "enqueue_options must be TaskEnqueueOptions(...), not "
                f"{self.enqueue_options!r}"
            )


def wait_time(timeout: Duration | None, call: CallDict) -> Duration | None:
    """Return how long to wait for a task: *timeout*, else the ``wait_timeout``."""
    options = call.get("enqueue_options")
    if timeout is not None or options is None:
        return timeout
    return options.wait_timeout


class TaskEnqueuer(Protocol):
    """Whatever enqueues prepared calls: an app, or a context."""

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        """
        Enqueue *call*.

        Raises:
            TaskNotRegistered: If no task has that name, and the call brings no
                definition.
            AppNotStarted: If nothing runs that could take it.
            QueueFull: If there is no room.
            PayloadError: If a part of it has no wire form.
            TypeError: If the arguments are not those of the handler.
        """
        ...
