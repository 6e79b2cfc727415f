"""Lane: the way of one task to its broker, as the task sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from stem_actor.tasks.handle import TaskHandle

__all__ = ["Args", "Lane"]

Args = dict[str, object]


class Lane(Protocol):
    """The way of one task, under one set of enqueue options, to its broker."""

    @property
    def publish(self) -> Callable[[Args], TaskHandle[Any]]:
        """Publishes bound arguments; a prepared function, for it is the hot path."""
        ...

    def publish_many(self, maps: Iterable[Args]) -> list[TaskHandle[Any]]:
        """Publish each of *maps*, bound arguments, in order."""
        ...

    async def apublish(self, args: Args) -> TaskHandle[Any]:
        """As ``publish``, waiting for room without blocking the event loop."""
        ...
