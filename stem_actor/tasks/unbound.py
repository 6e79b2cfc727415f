"""Unbound: what stands where an app would, for a task that belongs to none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from stem_actor.errors import AppNotStarted
from stem_actor.model.enqueue_options import TaskEnqueueOptions
from stem_actor.payload.encoder_registry import PLAIN
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.handle import TaskHandle

__all__ = ["UNBOUND", "UnboundLane"]

Args = dict[str, object]


class UnboundLane:
    """The lane of a task without an app."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def publish(self) -> Callable[[Args], TaskHandle[Any]]:
        return self._refuse

    def publish_many(self, maps: Iterable[Args]) -> list[TaskHandle[Any]]:
        raise self._error()

    async def apublish(self, args: Args) -> TaskHandle[Any]:
        raise self._error()

    def _refuse(self, args: Args) -> TaskHandle[Any]:
        raise self._error()

    def _error(self) -> AppNotStarted:
        return AppNotStarted(
            f"task {self._name} belongs to no app",
            hint="pass it to StemApp(tasks=[...])",
        )


class Unbound:
    """The dispatcher of a task without an app."""

    is_connected = False
    encoders = PLAIN.registry

    def lane(self, task: Any, options: TaskEnqueueOptions | None = None) -> UnboundLane:
        return UnboundLane(task.name)

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        raise UnboundLane(call.name)._error()


UNBOUND: Final = Unbound()
