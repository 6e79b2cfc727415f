"""Enqueueing: the verbs that a task and a task with options have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, ParamSpec, TypeVar

from stem_actor.model.result import TaskResult
from stem_actor.policy.plan import Leaf
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.lane import Args, Lane
from stem_actor.tasks.signature import (
    CallStep,
    Handled,
    Immutable,
    Partial,
    Signature,
    partial_of,
)

__all__ = ["Enqueueing"]

P = ParamSpec("P")
R = TypeVar("R")


class Enqueueing(Generic[P, R]):
    """The verbs that a task and a task with options have in common."""

    _bind: Callable[P, Args]
    _publish: Callable[[Args], TaskHandle[R]]

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """
        Enqueue one run of the task.

        In a running event loop this never waits for room, see ``aenqueue``.

        Raises:
            TypeError: If the arguments are not those of the handler.
            PayloadError: If an argument has no wire form; names its path.
            QueueFull: If there is no room for as long as ``enqueue_timeout``.
            AppNotStarted: If nothing runs that could take it.
        """
        return self._publish(self._bind(*args, **kwargs))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """As ``enqueue``; waits for room without blocking the event loop."""
        return await self._lane().apublish(self._bind(*args, **kwargs))

    def enqueue_and_wait(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]:
        """Enqueue, and wait for at most ``wait_timeout`` until the task has ended."""
        return self._publish(self._bind(*args, **kwargs)).wait(self._wait_timeout())

    async def aenqueue_and_wait(
        self, *args: P.args, **kwargs: P.kwargs
    ) -> TaskResult[R]:
        """As ``enqueue_and_wait``, without blocking the event loop."""
        handle = await self.aenqueue(*args, **kwargs)
        return await handle.await_(self._wait_timeout())

    def map(self, values: Iterable[Any]) -> list[TaskHandle[R]]:
        """
        Enqueue one run for each of *values*, its only positional argument.

        Much cheaper than a loop: they cross to the broker in batches.
        """
        bind: Callable[..., Args] = self._bind
        return self._lane().publish_many([bind(value) for value in values])

    def build_call(self, *args: P.args, **kwargs: P.kwargs) -> TaskCall:
        """Return the enqueue as a value, for ``enqueue_call`` and ``enqueue_many``."""
        return self._call_of(self._bind(*args, **kwargs))

    def s(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """Return this call as a part of a canvas tree, with all of its arguments."""
        return Signature(Leaf(CallStep(self.build_call(*args, **kwargs)), takes=False))

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Immutable[R]:
        """As ``s``, for a part that is handed nothing wherever it stands."""
        return Immutable(Leaf(CallStep(self.build_call(*args, **kwargs)), takes=False))

    def partial(self, *args: Any, **kwargs: Any) -> Partial[R]:
        """
        Return this call as a part that is handed its first argument; *args* are those
        behind it. Their types are checked by the worker.

        Raises:
            TypeError: If no value could make it a call of the handler.
            PayloadError: If an argument has no wire form.
        """
        return partial_of(self._bare(), self._call_of, args, kwargs)

    def _call_of(self, args: Args) -> TaskCall:
        raise NotImplementedError

    def _bare(self) -> Handled:
        raise NotImplementedError

    def _lane(self) -> Lane:
        raise NotImplementedError

    def _wait_timeout(self) -> Any:
        raise NotImplementedError
