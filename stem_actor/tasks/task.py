"""Task: a handler that can be enqueued by calling it in another way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, cast

from stem_actor.errors import SettingsError
from stem_actor.model.enqueue_options import (
    EnqueueOptionsDict,
    TaskEnqueueOptions,
    TaskOptionsDict,
)
from stem_actor.model.metadata import TaskMetadata
from stem_actor.model.options import InvalidOptions, TaskOptions
from stem_actor.payload.encoder_registry import (
    TaskEncoders,
    TaskPayloadEncoderRegistry,
)
from stem_actor.ring.record import TaskHead
from stem_actor.tasks.binder import Binder, build_binder
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.context import CURRENT
from stem_actor.tasks.definition import (
    coroutine_problems,
    default_name,
    definition_problems,
    place_of,
)
from stem_actor.tasks.enqueueing import Enqueueing
from stem_actor.tasks.finder import TaskFinder
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.lane import Args, Lane
from stem_actor.tasks.local import LocalContext
from stem_actor.tasks.runner import (
    AsyncRunner,
    Runner,
    build_async_runner,
    build_runner,
)
from stem_actor.tasks.task_definition import TaskDefinition
from stem_actor.tasks.task_version import Upgraded, adder, version_of
from stem_actor.tasks.unbound import UNBOUND, UnboundLane

__all__ = ["AsyncTask", "BoundTask", "Dispatcher", "Lane", "SyncTask", "Task"]

P = ParamSpec("P")
R = TypeVar("R")


class Dispatcher(TaskFinder, Protocol):
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


class Task(Enqueueing[P, R]):
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
        version: The version of its arguments; None: they are not versioned.
        place: File and line of the handler.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        context: bool | None = None,
        version: int | None = None,
        metadata: TaskMetadata | None = None,
        binder: Binder | None = None,
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
            version: The version of its arguments; None: they have none.
            metadata: Facts about it.
            binder: How it is called; None: as its signature says.
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
        self.version = version_of(self.name, version, problems)
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
        self.binder: Binder = binder or build_binder(
            handler, name=self.name, context=context, version=self.version
        )
        self._bind = self.binder.bind
        self._dispatcher: Dispatcher = UNBOUND
        self._own_lane: Lane = UnboundLane(self.name)
        self._publish = self._own_lane.publish

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def decode_result(self) -> Callable[[Any], Any] | None:
        """Returns the value of a stored result; None: results are plain."""
        return self.binder.decode_result

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

    def upgrade(self, *, from_version: int) -> Callable[[Upgraded], Upgraded]:
        """
        Let workers upgrade arguments of *from_version* by a function; a decorator.

        The function takes the map of that version, without its mark, and returns the
        map of the next one. Upgrades are chained up to the task's own version.

        Raises:
            SettingsError: If the task has no version, *from_version* is not below it,
                or has an upgrade already.
        """
        return adder(self.version, self.name, from_version)

    @functools.cached_property
    def definition(self) -> TaskDefinition[Mapping[str, object], R]:
        """The task's name, options and types without its handler, for producers."""
        return TaskDefinition(
            self.name,
            self.binder.checked,
            self.decode_result,
            default_options=self.options,
            metadata=self.metadata,
        )

    def _call_of(self, args: Args) -> TaskCall:
        return TaskCall(name=self.name, args=self._marked(args))

    def _bare(self) -> Task[P, R]:
        return self

    def _marked(self, args: Args) -> Args:
        """The map of a part that is handed its value was not bound, and has no mark."""
        return args if self.version is None else self.version.mark(args)

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


class BoundTask(Enqueueing[P, R]):
    """A task together with enqueue options; made by ``with_options``."""

    def __init__(self, task: Task[P, R], options: TaskEnqueueOptions) -> None:
        self.task = task
        self.options = options
        self._bind = task._bind
        self._kept: tuple[Dispatcher, Lane] | None = None

    def _call_of(self, args: Args) -> TaskCall:
        name, args = self.task.name, self.task._marked(args)
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
