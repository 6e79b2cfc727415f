"""What stands where an app would, while a task has none: every verb says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from stem_actor.errors import AppNotStarted
from stem_actor.model.enqueue_options import TaskEnqueueOptions
from stem_actor.payload.encoder_registry import PLAIN
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.found import FoundTask
from stem_actor.tasks.handle import TaskHandle

__all__ = ["UNBOUND", "UnboundLane"]

V = TypeVar("V")


class Named(Protocol):
    """A task."""

    @property
    def name(self) -> str: ...


class UnboundLane:
    """The lane of a task without an app."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def publish(self) -> Callable[[dict[str, object]], TaskHandle[Any]]:
        return self._refuse

    def publish_many(self, maps: Iterable[dict[str, object]]) -> list[TaskHandle[Any]]:
        raise self.error()

    async def apublish(self, args: dict[str, object]) -> TaskHandle[Any]:
        raise self.error()

    def _refuse(self, args: dict[str, object]) -> TaskHandle[Any]:
        raise self.error()

    def error(self) -> AppNotStarted:
        return AppNotStarted(
            f"task {self._name} belongs to no app",
            hint="pass it to StemApp(tasks=[...])",
        )


class Unbound:
    """The dispatcher of a task without an app."""

    is_connected = False
    encoders = PLAIN.registry

    def lane(
        self, task: Named, options: TaskEnqueueOptions | None = None
    ) -> UnboundLane:
        return UnboundLane(task.name)

    def find(self, task_id: str, decode: Callable[[Any], V]) -> FoundTask[V]:
        raise AppNotStarted(
            "there is no app whose tasks could be waited for",
            hint="start one, and ask it: app.wait_for_task(id)",
        )

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        raise UnboundLane(call.name).error()


UNBOUND: Final = Unbound()
