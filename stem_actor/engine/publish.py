"""Publisher: the one way into the ring, for tasks, calls and names alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final, cast

from stem_actor.clock import Clock, SystemClock
from stem_actor.engine.disconnected import Connect, Disconnected, not_started
from stem_actor.engine.head import policy_of
from stem_actor.engine.lane import RingLane
from stem_actor.model.enqueue_options import TaskEnqueueOptions
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.lowering import lower
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.exceptions import ExceptionCatalog
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.ports import ResultSource, Submitter
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task

__all__ = ["Publisher", "policy_of"]

_SYSTEM_CLOCK: Final = SystemClock()


class Publisher:
    """
    Publishes the tasks of one app; the ``Dispatcher`` of its tasks.

    Attributes:
        submitter: Where tasks go; refuses while nothing is connected.
        source: Where their outcomes come from, likewise.
        registry: The tasks that may be enqueued by name.
        exceptions: What handles may rebuild.
        clock: Tells the time of countdowns.
        encoders: The encoders of the app.
    """

    def __init__(
        self,
        registry: Registry,
        exceptions: ExceptionCatalog | None = None,
        *,
        clock: Clock = _SYSTEM_CLOCK,
        encoders: TaskPayloadEncoderRegistry | None = None,
    ) -> None:
        self.registry = registry
        self.encoders = encoders or TaskPayloadEncoderRegistry()
        self.exceptions = exceptions or ExceptionCatalog()
        self.clock = clock
        self._lanes: dict[Task[Any, Any], RingLane] = {}
        self.submitter: Submitter
        self.source: ResultSource
        self.disconnect(not_started)

    @property
    def is_connected(self) -> bool:
        return not isinstance(self.submitter, Disconnected)

    def connect(self, submitter: Submitter, source: ResultSource) -> None:
        """Publish to *submitter* from now on; *source* settles the handles."""
        self.submitter = submitter
        self.source = source

    def disconnect(self, connect: Connect) -> None:
        """Call *connect* at every publish from now on; it connects, or raises."""
        self.submitter = self.source = Disconnected(connect)

    def lane(
        self, task: Task[Any, Any], options: TaskEnqueueOptions | None = None
    ) -> RingLane:
        """Return the lane of *task*; see ``Dispatcher``."""
        if options is not None:
            return RingLane(self, task, enqueue=options)
        lane = self._lanes.get(task)
        if lane is None or lane.encoders is not task.encoders:
            lane = self._lanes[task] = RingLane(self, task)
        return lane

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        """Enqueue *call*; see ``TaskEnqueuer``."""
        task = self.registry.get(call.name)
        args = _checked(task, call.args)
        lane = self._lane_of(task, call)
        if call.headers or call.meta or call.not_before is not None:
            return lane.publish_with(
                args, headers=call.headers, meta=call.meta, not_before=call.not_before
            )
        return lane.publish(args)

    def enqueue_many(self, calls: Iterable[TaskCall]) -> list[TaskHandle[object]]:
        """
        Enqueue *calls* in order; neighbours that are alike cross in batches.

        All of them are checked before the first is enqueued.
        """
        checked = [
            (call, _checked(self.registry.get(call.name), call.args)) for call in calls
        ]
        handles: list[TaskHandle[object]] = []
        for (name, is_plain), group in groupby(checked, lambda pair: _kind(pair[0])):
            if is_plain:
                lane = self.lane(self.registry.get(name))
                handles += lane.publish_many([args for _call, args in group])
            else:
                handles += [self.enqueue_call(call) for call, _args in group]
        return handles

    def lane_of(self, call: TaskCall) -> RingLane:
        """
        Return the lane for *call*.

        Raises:
            TaskNotRegistered: If no task has its name.
            SettingsError: If its options cannot be honoured.
        """
        return self._lane_of(self.registry.get(call.name), call)

    def _lane_of(self, task: Task[Any, Any], call: TaskCall) -> RingLane:
        if call.options is None and call.enqueue_options is None:
            return self.lane(task)
        return RingLane(self, task, options=call.options, enqueue=call.enqueue_options)


def _kind(call: TaskCall) -> tuple[str, bool]:
    """Return the name, and whether the call says nothing beside its arguments."""
    is_plain = call.options is None and call.enqueue_options is None
    is_plain = is_plain and not (call.headers or call.meta)
    return call.name, is_plain and call.not_before is None


def _checked(task: Task[Any, Any], args: Mapping[str, object]) -> dict[str, object]:
    """
    Return *args* as the handler's binder would have bound them.

    They may be objects or already lowered: a prepared call holds the wire form.

    Raises:
        TypeError: If they are not those of the handler.
        PayloadError: If one does not fit its annotation, or has no wire form.
    """
    binder = task.binder
    if not binder.annotations and binder.record is None:
        return binder.bind(**args)
    plain = cast("Mapping[str, object]", lower(dict(args), path="args"))
    return binder.bind(**binder.raise_args(plain))
