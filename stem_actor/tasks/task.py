"""Task: a handler that can be enqueued by calling it in another way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast

from stem_actor.errors import SettingsError
from stem_actor.model.enqueue_options import (
    EnqueueOptionsDict,
    TaskEnqueueOptions,
    TaskOptionsDict,
)
from stem_actor.model.metadata import TaskMetadata
from stem_actor.model.options import InvalidOptions, TaskOptions
from stem_actor.model.result import TaskResult
from stem_actor.payload.encoder_registry import (
    TaskEncoders,
    TaskPayloadEncoderRegistry,
)
from stem_actor.policy.plan import Leaf
from stem_actor.ring.record import TaskHead
from stem_actor.tasks.binder import Binder, build_binder
from stem_actor.tasks.call import TaskCall, TaskEnqueuer
from stem_actor.tasks.context import CURRENT
from stem_actor.tasks.definition import (
    coroutine_problems,
    default_name,
    definition_problems,
    place_of,
)
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.local import LocalContext
from stem_actor.tasks.runner import (
    AsyncRunner,
    Runner,
    build_async_runner,
    build_runner,
)
from stem_actor.tasks.signature import (
    CallStep,
    Immutable,
    Partial,
    Signature,
    partial_of,
)
from stem_actor.tasks.unbound import UNBOUND, UnboundLane

__all__ = ["AsyncTask", "BoundTask", "Dispatcher", "Lane", "SyncTask", "Task"]

P = ParamSpec("P")
R = TypeVar("R")
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


class Dispatcher(TaskEnqueuer, Protocol):
    """What an app gives its tasks."""

    @property
    def is_connected(self) -> bool:
        """Whether anything runs that takes tasks."""
        ...

    @property
    def encoders(self) -> TaskPayloadEncoderRegistry:
        """The encoders of the app."""
        ...

    def lane(
        self, task: Task[Any, Any], options: TaskEnqueueOptions | None = None
    ) -> Lane:
        """
        Return the lane of *task* under *options*.

        Raises:
            SettingsError: If the options cannot be honoured.
        """
        ...


class _Enqueueing(Generic[P, R]):
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

    def _bare(self) -> Task[P, R]:
        raise NotImplementedError

    def _lane(self) -> Lane:
        raise NotImplementedError

    def _wait_timeout(self) -> Any:
        raise NotImplementedError


class Task(_Enqueueing[P, R]):
    """
    A handler with a name and options; made by ``@app.task`` or ``stem_actor.task``.

    Attributes:
        name: What it is called on the wire.
        aliases: Older names under which tasks may still come in.
        handler: The function.
        options: How it is to be run.
        metadata: What else is said about it.
        encoders: What its payloads are encoded by.
        binder: How its arguments become a map, and back.
        place: File and line of the handler.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        context: bool | None = None,
        metadata: TaskMetadata | None = None,
        **options: Unpack[TaskOptionsDict],
    ) -> None:
        """
        Make a task of *handler*.

        Args:
            handler: A function, plain or ``async``.
            name: Its name; None: ``module.qualname``.
            aliases: Older names of it.
            context: Whether its first parameter is the context; None: if it is
                annotated so.
            metadata: What else is to be said about it.
            options: The fields of ``TaskOptions``.

        Raises:
            SettingsError: With every problem, each with file and line.
        """
        functools.update_wrapper(cast("Any", self), handler)
        self.handler = handler
        self.place = place_of(handler)
        self.name = default_name(handler) if name is None else name
        self.aliases = tuple(aliases)
        problems = definition_problems(handler, (self.name, *self.aliases), options)
        if not problems:
            try:
                self.options = TaskOptions(**options)
            except InvalidOptions as error:
                problems += error.problems
            else:
                problems += self.option_problems(self.options)
        if problems:
            raise SettingsError(
                f"{self.place}: task {self.name}: {p}" for p in problems
            )
        self.metadata = TaskMetadata() if metadata is None else metadata
        self.encoders: TaskEncoders
        self._encode_by(TaskPayloadEncoderRegistry())
        self.binder: Binder = build_binder(handler, name=self.name, context=context)
        self._bind = self.binder.bind
        self._dispatcher: Dispatcher = UNBOUND
        self._own_lane: Lane = UnboundLane(self.name)
        self._publish = self._own_lane.publish

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def option_problems(self, options: TaskOptions) -> list[str]:
        """Return which of *options* cannot be honoured for this kind of handler."""
        return []

    @property
    def dispatcher(self) -> Dispatcher:
        """What publishes it: its app."""
        return self._dispatcher

    def attach(
        self,
        dispatcher: Dispatcher,
        encoders: TaskPayloadEncoderRegistry | None = None,
    ) -> None:
        """
        Let *dispatcher* publish this task from now on.

        Args:
            dispatcher: Of its app.
            encoders: The encoders of its app; None: those of *dispatcher*.

        Raises:
            SettingsError: If the options cannot be honoured there, another app that is
                running publishes it, or one of its encoders has the id of another.
        """
        if self._dispatcher is not dispatcher and self._dispatcher.is_connected:
            raise SettingsError(
                [f"{self.place}: task {self.name} belongs to another running app"],
                hint="stop that one first, or define the task once for each",
            )
        self._encode_by(dispatcher.encoders if encoders is None else encoders)
        self._own_lane = dispatcher.lane(self)
        self._publish = self._own_lane.publish
        self._dispatcher = dispatcher

    def with_options(self, **options: Unpack[EnqueueOptionsDict]) -> BoundTask[P, R]:
        """
        Return this task with enqueue options, to be kept or used at once.

        Raises:
            InvalidOptions: With every problem at once.
        """
        return BoundTask(self, TaskEnqueueOptions(**options))

    def _call_of(self, args: Args) -> TaskCall:
        return TaskCall(name=self.name, args=args)

    def _bare(self) -> Task[P, R]:
        return self

    def _encode_by(self, encoders: TaskPayloadEncoderRegistry) -> None:
        try:
            self.encoders = encoders.of(self.metadata)
        except SettingsError as error:
            lines = (f"{self.place}: task {self.name}: {it}" for it in error.problems)
            raise SettingsError(lines, hint=error.hint) from None
        vars(self).pop("runner", None)  # it was built for those from before

    def _lane(self) -> Lane:
        return self._own_lane

    def _wait_timeout(self) -> None:
        return None

    def _local(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LocalContext:
        bind: Callable[..., Args] = self._bind
        head = TaskHead(name=self.name, queue=self.options.queue)
        return LocalContext(head, lambda: bind(*args, **kwargs), self._dispatcher)


class SyncTask(Task[P, R]):
    """A task whose handler is a plain function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the handler here and now, with a local context."""
        context = self._local(args, kwargs)
        before = (context,) if self.binder.takes_context else ()
        token = CURRENT.set(context)
        try:
            result: R = self.handler(*before, *args, **kwargs)
        finally:
            CURRENT.reset(token)
        return result

    @functools.cached_property
    def runner(self) -> Runner:
        """What runs it in a worker."""
        return build_runner(self.handler, self.binder, self.encoders)


class AsyncTask(Task[P, R]):
    """A task whose handler is a coroutine function."""

    def option_problems(self, options: TaskOptions) -> list[str]:
        return coroutine_problems(options)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the handler here, with a local context."""
        context = self._local(args, kwargs)
        before = (context,) if self.binder.takes_context else ()
        token = CURRENT.set(context)
        try:
            coroutine: Coroutine[Any, Any, R] = self.handler(*before, *args, **kwargs)
            return await coroutine
        finally:
            CURRENT.reset(token)

    @functools.cached_property
    def runner(self) -> AsyncRunner:
        """What runs it in a worker."""
        return build_async_runner(self.handler, self.binder, self.encoders)


class BoundTask(_Enqueueing[P, R]):
    """A task together with enqueue options; made by ``with_options``."""

    def __init__(self, task: Task[P, R], options: TaskEnqueueOptions) -> None:
        self.task = task
        self.options = options
        self._bind = task._bind
        self._kept: tuple[Dispatcher, Lane] | None = None

    def _call_of(self, args: Args) -> TaskCall:
        name = self.task.name
        return TaskCall(name=name, args=args, enqueue_options=self.options)

    def _bare(self) -> Task[P, R]:
        return self.task

    def _publish(self, args: Args) -> TaskHandle[R]:
        return self._lane().publish(args)

    def _lane(self) -> Lane:
        # Looked up and not kept from the beginning: a module may make one of these
        # before its task has an app.
        dispatcher = self.task.dispatcher
        if self._kept is None or self._kept[0] is not dispatcher:
            lane = dispatcher.lane(self.task, self.options)
            self._kept = (dispatcher, lane)
            return lane
        return self._kept[1]

    def _wait_timeout(self) -> Any:
        return self.options.wait_timeout
