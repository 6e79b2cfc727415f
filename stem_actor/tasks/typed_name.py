"""TypedName: what every definition of a task has, with arguments or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypedDict, TypeVar, Unpack, cast

from stem_actor.errors import SettingsError
from stem_actor.model.duration import Duration
from stem_actor.model.enqueue_options import TaskOptionsDict
from stem_actor.model.metadata import TaskMetadata
from stem_actor.model.options import InvalidOptions, TaskOptions
from stem_actor.model.result import TaskResult
from stem_actor.model.version import VersionedDecoder, check_version
from stem_actor.payload.codec import versioned
from stem_actor.tasks.call import CallDict, TaskCall, TaskEnqueuer
from stem_actor.tasks.definition import name_problems, place_of, unknown_options
from stem_actor.tasks.finder import TaskResultCaller
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.result_decoder import as_stored, result_decoder

__all__ = ["DefinitionDict", "SettingsDict", "TypedName", "result_writer"]

R = TypeVar("R")
V = TypeVar("V")


class SettingsDict(TypedDict, total=False):
    """
    What every definition may be given.

    Attributes:
        default_options: How the task is to be run; None: as its handler says, where
            that is registered.
        metadata: Facts about it, and its encoders.
    """

    default_options: TaskOptions | TaskOptionsDict | None
    metadata: TaskMetadata | None


class DefinitionDict(SettingsDict, Generic[V], total=False):
    """
    Further, what results are; at most one of the first three.

    Attributes:
        result_type: The type that a stored result is raised to, strictly.
        decode_result: A function of the stored result.
        decode_result_versioned: A function of a stored map without its mark, and its
            version; or a ``PayloadVersionRegistry``.
        default_decode_version: The version of a map without a mark; None: 1.
        result_version: What a class handler with this definition marks its results
            with, if they are versioned; None: the version of the arguments, else
            ``default_decode_version``.
    """

    result_type: type[V]
    decode_result: Callable[[Any], V]
    decode_result_versioned: VersionedDecoder[V]
    default_decode_version: int | None
    result_version: int | None


class TypedName(Generic[R]):
    """
    The name of a task with the type of its result; see ``TaskDefinition``.

    Attributes:
        name: The task's name.
        place: File and line of the definition.
        default_options: How it is to be run; None: as its handler says.
        metadata: Facts about it, and its encoders.
    """

    def __init__(
        self,
        name: str,
        decode: Callable[[Any], R] | None,
        encode_result: Callable[[R], object] | None,
        **settings: Unpack[SettingsDict],
    ) -> None:
        """
        Raises:
            SettingsError: With every problem, each with file and line.
        """
        self.name = name
        self.place = place_of(self)
        self.default_options = _options_of(self.place, name, settings)
        self.metadata = settings.get("metadata") or TaskMetadata()
        self.encode_result = encode_result
        self._decode: Callable[[Any], R] = as_stored if decode is None else decode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def decode(self, payload: Any, /) -> R:
        """
        Return the result that *payload*, as it was stored, stands for.

        Raises:
            PayloadError: If it does not fit.
        """
        return self._decode(payload)

    def wait_for(
        self, caller: TaskResultCaller, task_id: str, timeout: Duration | None = None
    ) -> TaskResult[R]:
        """Return how the task *task_id* ended; see ``StemApp.wait_for_task``."""
        return caller.wait_for_task(task_id, timeout=timeout, decode=self.decode)

    def _enqueue(
        self,
        enqueuer: TaskEnqueuer,
        args: Mapping[str, object],
        call: CallDict,
    ) -> TaskHandle[R]:
        handle = enqueuer.enqueue_call(self._call(args, call))
        return cast("TaskHandle[R]", handle)  # its reader is this definition

    def _call(self, args: Mapping[str, object], call: CallDict) -> TaskCall:
        return TaskCall(name=self.name, args=args, definition=self, **call)


def result_writer(
    given: DefinitionDict[V], version: int | None = None
) -> tuple[Callable[[Any], V] | None, Callable[[V], object] | None]:
    """
    Return how results are read, and how a class handler writes them; None: plainly.

    Args:
        given: What the definition was given.
        version: The version of its arguments.
    """
    decode_versioned = given.get("decode_result_versioned")
    default = given.get("default_decode_version")
    decode = result_decoder(
        result_type=given.get("result_type"),
        decode_result=given.get("decode_result"),
        decode_result_versioned=decode_versioned,
        default_decode_version=default,
    )
    if decode_versioned is None:
        if given.get("result_version") is not None:
            raise TypeError("result_version needs a versioned decoder")
        return decode, None
    written = given.get("result_version") or version or default or 1
    check_version(written, "result_version")
    return decode, lambda result: versioned(result, written, path="result")


def _options_of(place: str, name: str, settings: SettingsDict) -> TaskOptions | None:
    given = settings.get("default_options")
    options = given if isinstance(given, TaskOptions) else None
    spoken: TaskOptionsDict = {}
    if given is not None and not isinstance(given, TaskOptions):
        spoken = given
    problems = name_problems(name) + unknown_options(spoken)
    if not problems and given is not None and options is None:
        try:
            options = TaskOptions(**spoken)
        except InvalidOptions as error:
            problems += error.problems
    if problems:
        raise SettingsError(f"{place}: task {name}: {problem}" for problem in problems)
    return options
