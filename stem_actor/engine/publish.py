"""Publisher: the one way into the ring, for tasks, calls and names alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, Final, TypeVar

from stem_actor.clock import Clock, SystemClock
from stem_actor.engine.children import CHILD_RESULTS
from stem_actor.engine.disconnected import Connect, Disconnected, not_started
from stem_actor.engine.head import policy_of
from stem_actor.engine.lane import RingLane
from stem_actor.errors import DuplicateTask, TaskNotRegistered
from stem_actor.ids import parse_id
from stem_actor.model.enqueue_options import TaskEnqueueOptions
from stem_actor.model.metadata import TaskMetadata
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.tasks.call import CallDefinition, TaskCall
from stem_actor.tasks.context import CURRENT
from stem_actor.tasks.defined import Defined, Laned
from stem_actor.tasks.exceptions import ExceptionCatalog
from stem_actor.tasks.found import FoundTask
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.outcome import OutcomeReader
from stem_actor.tasks.ports import ResultSource, Submitter
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task

__all__ = ["Publisher", "policy_of"]

V = TypeVar("V")

_SYSTEM_CLOCK: Final = SystemClock()
#: Definitions are few and made once; a program that makes them anew for each enqueue
#: must not fill its memory with them.
_DEFINED_MAX: Final = 1024


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
        takes_any: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Args:
            registry: The tasks that may be enqueued by name.
            exceptions: What handles may rebuild.
            clock: Tells the time of countdowns.
            encoders: The encoders of the app.
            takes_any: Asked for a name that nobody here knows: whether it is enqueued
                all the same. It may have the name registered instead.
        """
        self.registry = registry
        self.encoders = encoders or TaskPayloadEncoderRegistry()
        self.exceptions = exceptions or ExceptionCatalog()
        self.clock = clock
        self._takes_any = takes_any
        self._lanes: dict[Task[Any, Any], RingLane] = {}
        self._definitions: dict[str, CallDefinition] = {}
        self._defined: dict[CallDefinition | str, Defined] = {}
        self._defined_lanes: dict[Defined, RingLane] = {}
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

    def define(self, definition: CallDefinition) -> None:
        """
        Let the task of *definition* be enqueued by its name.

        Raises:
            DuplicateTask: If there is another definition of that name.
        """
        known = self._definitions.setdefault(definition.name, definition)
        if known is not definition:
            raise DuplicateTask(definition.name, where=known.place)

    def lane(
        self, task: Task[Any, Any], options: TaskEnqueueOptions | None = None
    ) -> RingLane:
        """Return the lane of *task*; see ``Dispatcher``."""
        if options is not None:
            return RingLane(self, task, enqueue=options)
        lane = self._lanes.get(task)
        if lane is None or lane.encoders is not task.encoders:
            lane = self._lanes[task] = RingLane(self, task)
            self._forget_defined()  # its options may stand for theirs
        return lane

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        """Enqueue *call*; see ``TaskEnqueuer``."""
        target = self._target(call)
        args = _checked(target, call)
        lane = self._lane_of(target, call)
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
        checked = []
        for call in calls:
            target = self._target(call)
            checked.append((call, target, _checked(target, call)))
        handles: list[TaskHandle[object]] = []
        for (_target, is_plain), group in groupby(checked, _kind):
            members = list(group)
            if is_plain:
                lane = self._plain_lane(members[0][1])
                handles += lane.publish_many([args for _, _, args in members])
            else:
                handles += [self.enqueue_call(call) for call, _, _ in members]
        return handles

    def lane_of(self, call: TaskCall) -> RingLane:
        """
        Return the lane for *call*.

        Raises:
            TaskNotRegistered: If no task has its name.
            SettingsError: If its options cannot be honoured.
        """
        return self._lane_of(self._target(call), call)

    def find(self, task_id: str, decode: Callable[[Any], V]) -> FoundTask[V]:
        """
        Return a handle of a task, whoever has enqueued it; *decode* reads its result.

        Raises:
            ValueError: If *task_id* is no task id.
        """
        parent = CURRENT.get()
        in_worker = parent is not None and parent.runtime.submitter is not None
        source = CHILD_RESULTS if in_worker else self.source
        reader = OutcomeReader(decode, self.exceptions, self.encoders)
        return FoundTask(parse_id(task_id), source, reader)

    # --- inside

    def _target(self, call: TaskCall) -> Laned:
        """
        Return what *call* is for.

        Raises:
            TaskNotRegistered: If its name is not known, and has to be.
        """
        definition = call.definition
        if definition is None:
            task = self.registry.find(call.name)
            if task is not None:
                return task
            definition = self._definitions.get(call.name)
            if definition is None:
                return self._unknown(call.name)
        return self._defined.get(definition) or self._define(call.name, definition)

    def _unknown(self, name: str) -> Laned:
        """
        Return what *name* is once the app has been asked, which may import it.

        Raises:
            TaskNotRegistered: If nobody knows it, and somebody has to.
        """
        takes_any = self._takes_any()
        task = self.registry.find(name)
        if task is not None:
            return task
        definition = self._definitions.get(name)
        if definition is None and not takes_any:
            known = (*self.registry.names, *self._definitions)
            raise TaskNotRegistered(name, known=known)
        return self._defined.get(definition or name) or self._define(name, definition)

    def _define(self, name: str, definition: CallDefinition | None) -> Defined:
        if len(self._defined) >= _DEFINED_MAX:
            self._forget_defined()
        metadata = None if definition is None else definition.metadata
        task = self.registry.find(name)
        if task is not None and (metadata is None or not metadata.has_encoders):
            encoders = task.encoders
        else:
            encoders = self.encoders.of(metadata or TaskMetadata())
        defined = Defined(name, encoders, definition, task)
        self._defined[definition or name] = defined
        return defined

    def _forget_defined(self) -> None:
        self._defined.clear()
        self._defined_lanes.clear()

    def _lane_of(self, target: Laned, call: TaskCall) -> RingLane:
        if call.options is None and call.enqueue_options is None:
            return self._plain_lane(target)
        return RingLane(
            self, target, options=call.options, enqueue=call.enqueue_options
        )

    def _plain_lane(self, target: Laned) -> RingLane:
        if isinstance(target, Task):
            return self._lanes.get(target) or self.lane(target)
        if not isinstance(target, Defined):
            raise TypeError(f"{target!r} is neither a task nor a definition")
        lane = self._defined_lanes.get(target)
        if lane is None:
            lane = self._defined_lanes[target] = RingLane(self, target)
        return lane


def _kind(checked: tuple[TaskCall, Laned, dict[str, object]]) -> tuple[Laned, bool]:
    """Return the target, and whether the call says nothing beside its arguments."""
    call, target, _args = checked
    is_plain = call.options is None and call.enqueue_options is None
    is_plain = is_plain and not (call.headers or call.meta)
    return target, is_plain and call.not_before is None


def _checked(target: Laned, call: TaskCall) -> dict[str, object]:
    """
    Return the arguments of *call* as the handler's binder would have bound them.

    Those of a definition are its own: they are encoded, and checked by types.

    Raises:
        TypeError: If they are not those of the handler.
        PayloadError: If one does not fit its annotation, or has no wire form.
    """
    if isinstance(target, Task):
        return target.binder.checked(call.args)
    return dict(call.args)
