"""NoArgsTaskDefinition: the typed name of a task without arguments."""

from __future__ import annotations

from typing import TypeVar, Unpack

from stem_actor.model.duration import Duration
from stem_actor.model.result import TaskResult
from stem_actor.tasks.call import CallDict, TaskCall, TaskEnqueuer, wait_time
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.typed_name import TypedName

__all__ = ["NoArgsTaskDefinition"]

R = TypeVar("R")


class NoArgsTaskDefinition(TypedName[R]):
    """As ``TaskDefinition``, whose ``no_args…`` constructors make it."""

    def build_call(self, **call: Unpack[CallDict]) -> TaskCall:
        """Return the enqueue as a value, for ``enqueue_call`` and ``enqueue_many``."""
        return self._call({}, call)

    def enqueue(
        self, enqueuer: TaskEnqueuer, **call: Unpack[CallDict]
    ) -> TaskHandle[R]:
        """Enqueue one run of the task; see ``TaskDefinition.enqueue``."""
        return self._enqueue(enqueuer, {}, call)

    def enqueue_and_wait(
        self,
        caller: TaskEnqueuer,
        *,
        timeout: Duration | None = None,
        **call: Unpack[CallDict],
    ) -> TaskResult[R]:
        """As ``enqueue``; waits for *timeout* at most until the task has ended."""
        return self.enqueue(caller, **call).wait(wait_time(timeout, call))

    async def aenqueue_and_wait(
        self,
        caller: TaskEnqueuer,
        *,
        timeout: Duration | None = None,
        **call: Unpack[CallDict],
    ) -> TaskResult[R]:
        """As ``enqueue_and_wait``, without blocking the event loop."""
        return await self.enqueue(caller, **call).await_(wait_time(timeout, call))
