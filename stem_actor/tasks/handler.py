"""TaskHandler: a task as a class, and the task that it becomes."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Final, Generic, TypeVar, cast, get_origin

from stem_actor.errors import PayloadError, SettingsError
from stem_actor.model.enqueue_options import TaskOptionsDict
from stem_actor.model.metadata import TaskMetadata
from stem_actor.model.options import TaskOptions
from stem_actor.model.payload_map import PayloadMap
from stem_actor.payload.codec import lowered_map
from stem_actor.payload.lowering import check_annotation, raise_
from stem_actor.policy.merge import spoken_options
from stem_actor.tasks.annotation import is_wire, resolve
from stem_actor.tasks.binder import Binder
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.definition import place_of
from stem_actor.tasks.task import AsyncTask, SyncTask, Task
from stem_actor.tasks.typed_name import TypedName

__all__ = ["TaskHandler", "task_of"]

A = TypeVar("A")
R = TypeVar("R")

_MAPS: Final = (dict, Mapping, PayloadMap)


class TaskHandler(ABC, Generic[A, R]):
    """
    A task as a class: a name, options, and ``call``.

    An object of it goes where tasks go: ``StemApp(tasks=[...])``, ``app.register``.
    ``call`` may be ``async def``. What its second parameter is annotated as decides
    what it gets: a DTO class, the arguments as one; ``Mapping`` or ``PayloadMap``, a
    map with typed readers.

    Attributes:
        name: The task's name; that of the definition if there is one.
        options: How it is to be run, likewise.
        metadata: Facts about it, likewise.
        definition: The definition that it is the handler of. It decodes the arguments
            if ``call`` takes no map, and writes the result.
    """

    name: str = ""
    options: TaskOptions = TaskOptions()
    metadata: TaskMetadata = TaskMetadata()
    definition: TypedName[Any] | None = None

    @abstractmethod
    def call(self, context: TaskContext, args: A) -> R | Awaitable[R]:
        """Run the task once."""


@dataclass(frozen=True, slots=True)
class _HandlerBinder(Binder):
    """
    The binder of a class handler: its second parameter is the whole map.

    Attributes:
        decode_args: Makes that parameter of a map.
        write: Returns a result as it is stored; None: as its annotation says.
        read: Returns the value of a stored result; None: likewise.
    """

    decode_args: Callable[[Mapping[str, object]], Any] = PayloadMap
    write: Callable[[Any], object] | None = None
    read: Callable[[Any], Any] | None = None

    @property
    def decode_result(self) -> Callable[[Any], Any] | None:
        return self.read or self.raiser()

    @property
    def encodes_result(self) -> bool:
        return self.write is not None or self.returns is not None

    def encode_result(self, value: object) -> object:
        if self.write is not None:
            return None if value is None else self.write(value)
        return Binder.encode_result(self, value)

    def checked(self, args: Mapping[str, object]) -> dict[str, object]:
        plain = lowered_map(args, path="args")
        self.raise_args(plain)
        return plain

    def raise_args(self, args: Mapping[str, object]) -> Mapping[str, object]:
        return {str(self.record): self.decode_args(args)}


def task_of(handler: TaskHandler[Any, Any]) -> Task[..., Any]:
    """
    Return the task of *handler*.

    Raises:
        SettingsError: With every problem, each with file and line.
    """
    definition, function = handler.definition, handler.call
    name, options, metadata = handler.name, handler.options, handler.metadata
    if definition is not None:
        name = name or definition.name
        if options is TaskHandler.options:
            options = definition.default_options or options
        if metadata is TaskHandler.metadata:
            metadata = definition.metadata
    if not name:
        raise SettingsError(
            [f"{place_of(function)}: {type(handler).__name__} has no name"],
            hint='write name = "..." into the class, or give it a definition',
        )
    binder = _binder(name, function, definition)
    kind = AsyncTask if inspect.iscoroutinefunction(function) else SyncTask
    spoken = cast("TaskOptionsDict", dict(spoken_options(options)))
    made: Task[..., Any] = kind(
        function, name=name, context=True, metadata=metadata, binder=binder, **spoken
    )
    _name_in_module(cast("Any", made), type(handler))
    return made


def _binder(
    name: str, function: Callable[..., Any], definition: TypedName[Any] | None
) -> _HandlerBinder:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.POSITIONAL_ONLY)
    if len(parameters) != 2 or any(it.kind not in kinds[:1] for it in parameters):
        raise SettingsError(
            [f"{place_of(function)}: task {name}: call takes a context and arguments"],
            hint="write def call(self, context: TaskContext, args: ...)",
        )
    wanted = resolve(parameters[1].annotation, function)
    returns = resolve(signature.return_annotation, function)
    plain = isinstance(returns, str | TypeVar) or is_wire(returns)
    returns = None if plain else returns
    try:
        decode_args = _args_decoder(wanted, definition)
        if returns is not None:
            check_annotation(returns, path="the result")
    except PayloadError as error:
        problem = f"{place_of(function)}: task {name}: {error}"
        raise SettingsError([problem]) from error
    write = None if definition is None else definition.encode_result
    return _HandlerBinder(
        name,
        bind=_bind,
        takes_context=True,
        annotations={},
        record=parameters[1].name,
        returns=returns,
        decode_args=decode_args,
        write=write,
        read=None if definition is None else definition.decode,
    )


def _args_decoder(
    wanted: Any, definition: TypedName[Any] | None
) -> Callable[[Mapping[str, object]], Any]:
    """
    Return what makes the second parameter of ``call`` of a map.

    Raises:
        PayloadError: If *wanted* is a type that no map can be raised to.
    """
    is_map = wanted in (Parameter.empty, Any, object) or isinstance(wanted, TypeVar)
    if is_map or (get_origin(wanted) or wanted) in _MAPS:
        return lambda args: PayloadMap(args, path="args")
    decode = getattr(definition, "decode_args", None)
    if decode is not None:
        return cast("Callable[[Mapping[str, object]], Any]", decode)
    if wanted is None:
        return lambda args: None
    check_annotation(wanted, path="the arguments")
    return lambda args: raise_(args, wanted, path="args")


def _bind(args: object = None, /, **named: object) -> dict[str, object]:
    """Return the map of the one argument that the handler takes."""
    return lowered_map(named if args is None else args, path="args")


def _name_in_module(made: Any, cls: type[TaskHandler[Any, Any]]) -> None:
    """
    Let workers that import find the class, of which they make an object.

    One that is made with arguments has no name that leads to it.
    """
    needed = [
        it
        for it in inspect.signature(cls).parameters.values()
        if it.default is Parameter.empty
        and it.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ]
    made.__module__ = cls.__module__
    made.__qualname__ = None if needed else cls.__qualname__
