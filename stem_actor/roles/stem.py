"""Stem: tasks and a producer, without any process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, Unpack

from stem_actor.actor.host.settings import SettingsDict
from stem_actor.app import StemApp
from stem_actor.control.steering import Steering
from stem_actor.engine.registering import Handler
from stem_actor.model.enqueue_options import TaskOptionsDict
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.decorator import TaskDecorator
from stem_actor.tasks.found import FoundTask
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.ports import Connection
from stem_actor.tasks.producing import Producing
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task
from stem_actor.tasks.typed_name import TypedName

__all__ = ["Stem"]

V = TypeVar("V")


class Stem(Producing, Steering):
    """
    Tasks and their producer; made at module level, connects at the first need.

    It starts no process: a ``Worker`` of it does, here or in another program, or
    whoever else runs its named ring.

    Attributes:
        app: The app that a ``Worker`` of it starts.
        task: The decorator that makes and registers a task.
        registry: Its tasks.
    """

    def __init__(
        self,
        tasks: Iterable[Handler | TypedName[Any]] = (),
        *,
        imports: Iterable[str] = (),
        **settings: Unpack[SettingsDict],
    ) -> None:
        """As ``StemApp``; what concerns workers counts for each ``Worker`` of it."""
        super().__init__()
        self.app = StemApp(tasks, imports=imports, **settings)
        self.task: TaskDecorator = self.app.task
        self.registry: Registry = self.app.registry

    def register(
        self, handler: Handler, /, **options: Unpack[TaskOptionsDict]
    ) -> Task[..., Any]:
        """Register a task; see ``StemApp.register``."""
        return self.app.register(handler, **options)

    def define(self, definition: TypedName[Any], /) -> None:
        """Let a task be enqueued by its name; see ``StemApp.define``."""
        self.app.define(definition)

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        return self.app.enqueue_call(call)

    def enqueue_many(self, calls: Iterable[TaskCall]) -> list[TaskHandle[object]]:
        """As ``enqueue_call`` for each, in order; they cross in batches."""
        return self.app.enqueue_many(calls)

    @property
    def connection(self) -> Connection:
        return self.app.connection

    def close(self) -> None:
        """Leave the ring; a worker of it that runs in this process is ended."""
        self.app.close()

    def _find(self, task_id: str, decode: Callable[[Any], V]) -> FoundTask[V]:
        return self.app._find(task_id, decode)
