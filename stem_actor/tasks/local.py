"""LocalContext: the context of a handler that is called like a plain function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from stem_actor.ids import new_id
from stem_actor.ring.record import ARGS, TaskHead
from stem_actor.tasks.context import CURRENT, TaskContext
from stem_actor.tasks.delivery import Delivery
from stem_actor.tasks.finder import TaskFinder
from stem_actor.tasks.ports import Interruption, Submitter

__all__ = ["LocalContext", "LocalRuntime"]


class LocalRuntime:
    """A runtime without a worker: no limits, no lease, and nobody who is told."""

    @property
    def submitter(self) -> Submitter | None:
        return None

    def progress(self, payload: bytes) -> None:
        """Nobody holds a handle of a plain call."""

    def extend(self, by_ns: int) -> None:
        """A plain call has no lease."""

    @property
    def interruption(self) -> Interruption | None:
        return None

    def extend_limit(self, by_ns: int) -> int:
        """A plain call has no limits; any extension of them is granted."""
        return by_ns

    def shield(self, at_most_ns: int) -> AbstractContextManager[None]:
        """Nobody interrupts a plain call."""
        return nullcontext()

    def facts(self) -> Mapping[str, object]:
        return {}

    def remaining_ns(self) -> int | None:
        return None


class LocalContext(TaskContext):
    """
    The context of a plain call.

    Inside a worker it is a call within a task: it asks the same worker, and what it
    enqueues is that task's child.
    """

    __slots__ = ("_bind",)

    def __init__(
        self,
        head: TaskHead,
        bind: Callable[[], Mapping[str, object]],
        enqueuer: TaskFinder,
    ) -> None:
        """*bind* returns the arguments as they would cross the wire."""
        outer = CURRENT.get()
        if outer is None:
            delivery = Delivery(new_id(), 0, 1, ARGS, b"", lambda: head)
            super().__init__(head.name, delivery, LocalRuntime(), enqueuer)
        else:
            # Progress is the outer task's, and so is what encodes it.
            encoders = outer.encoders
            super().__init__(
                head.name, outer.delivery, outer.runtime, enqueuer, encoders
            )
            self.receive({}, outer.headers, outer.meta)
        self._bind = bind

    @property
    def args(self) -> Mapping[str, object]:
        return self._bind()
