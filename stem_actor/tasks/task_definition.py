"""TaskDefinition: the typed name of a task, for producers without its handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, Unpack

from stem_actor.errors import PayloadVersionError
from stem_actor.model.duration import Duration
from stem_actor.model.raising import raise_
from stem_actor.model.result import TaskResult
from stem_actor.model.version import (
    VersionedDecoder,
    check_version,
    decode_versioned,
    with_version,
)
from stem_actor.payload.codec import PayloadCodec, lowered_map, versioned
from stem_actor.tasks.call import CallDict, TaskCall, TaskEnqueuer, wait_time
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.no_args_definition import NoArgsTaskDefinition
from stem_actor.tasks.result_decoder import result_decoder
from stem_actor.tasks.typed_name import (
    DefinitionDict,
    SettingsDict,
    TypedName,
    result_writer,
)

__all__ = ["TaskDefinition"]

A = TypeVar("A")
R = TypeVar("R")
B = TypeVar("B")  # of the static constructors: A and R are the class's own
S = TypeVar("S")


class TaskDefinition(TypedName[R], Generic[A, R]):
    """
    A task's name with the types of its arguments and its result.

    Producers enqueue by it, checked by the type checker and without any code of the
    handler. Made once, at the top level of a module that both sides import. Where no
    constructor is told the type of the result, the annotation says it::

        publish: TaskDefinition[Invoice, bool] = TaskDefinition.json(
            "invoice.publish", args_type=Invoice
        )
    """

    def __init__(
        self,
        name: str,
        encode_args: Callable[[A], Mapping[str, object]],
        decode_result: Callable[[Any], R] | None = None,
        *,
        decode_args: Callable[[Any], A] | None = None,
        encode_result: Callable[[R], object] | None = None,
        **settings: Unpack[SettingsDict],
    ) -> None:
        """
        Define the task *name*.

        Args:
            name: The task's name.
            encode_args: Returns the arguments by name, of DTOs and plain values.
            decode_result: A function of the stored result; None: it is plain.
            decode_args: How a class handler gets its arguments; None: as a map.
            encode_result: How a class handler's result is written; None: as it is.
            settings: ``default_options`` and ``metadata``.

        Raises:
            SettingsError: With every problem, each with file and line.
        """
        decode = result_decoder(decode_result=decode_result)
        super().__init__(name, decode, encode_result, **settings)
        self._encode: Callable[[A], dict[str, object]] = lambda args: lowered_map(
            encode_args(args), path="args"
        )
        self.decode_args = decode_args

    # --- constructors

    @staticmethod
    def codec(
        name: str,
        args_codec: PayloadCodec[B],
        result_codec: PayloadCodec[S] | None = None,
        **settings: Unpack[SettingsDict],
    ) -> TaskDefinition[B, S]:
        """Define a task whose arguments, and result, have codecs."""
        return TaskDefinition(
            name,
            lambda args: lowered_map(args_codec.encode(args), path="args"),
            None if result_codec is None else result_codec.decode,
            decode_args=args_codec.decode,
            encode_result=None if result_codec is None else result_codec.encode,
            **settings,
        )

    @staticmethod
    def json(
        name: str, *, args_type: type[B], **given: Unpack[DefinitionDict[S]]
    ) -> TaskDefinition[B, S]:
        """
        Define a task whose arguments are the fields of a DTO.

        Args:
            name: The task's name.
            args_type: A dataclass, attrs class, Struct, TypedDict or Pydantic model.
            given: The fields of ``DefinitionDict``.

        Raises:
            TypeError: If results are given more than one decoder.
            SettingsError: With every problem, each with file and line.
        """

        def decode_args(stored: Any) -> B:
            raised: B = raise_(stored, args_type, path="args")
            return raised

        return _define(name, _dto_map, decode_args, None, given)

    @staticmethod
    def versioned_json(
        name: str,
        *,
        version: int,
        args_type: type[B],
        decode_args: VersionedDecoder[B] | None = None,
        **given: Unpack[DefinitionDict[S]],
    ) -> TaskDefinition[B, S]:
        """
        As ``json``; the arguments say that they are of *version* of their schema.

        Args:
            name: The task's name.
            version: What is written, above 0; an argument map without a mark counts
                as of this version too.
            args_type: Their DTO class.
            decode_args: How a class handler reads any version; None: only *version*.
            given: The fields of ``DefinitionDict``.
        """
        check_version(version)

        def only(payload: Mapping[str, Any], found: int) -> B:
            if found != version:
                raise PayloadVersionError(found, known=(version,), path="args")
            raised: B = raise_(payload, args_type, path="args")
            return raised

        return _define(
            name,
            lambda args: versioned(args, version, path="args"),
            _versioned_reader(decode_args or only, version),
            version,
            given,
        )

    @staticmethod
    def versioned_map(
        name: str,
        encode_args: Callable[[B], Mapping[str, object]],
        *,
        version: int,
        decode_args: VersionedDecoder[B] | None = None,
        **given: Unpack[DefinitionDict[S]],
    ) -> TaskDefinition[B, S]:
        """As ``versioned_json``, with a function of one's own that makes the map."""
        check_version(version)
        return _define(
            name,
            lambda args: with_version(
                lowered_map(encode_args(args), path="args"), version
            ),
            None if decode_args is None else _versioned_reader(decode_args, version),
            version,
            given,
        )

    @staticmethod
    def no_args(
        name: str,
        decode_result: Callable[[Any], S] | None = None,
        **settings: Unpack[SettingsDict],
    ) -> NoArgsTaskDefinition[S]:
        """Define a task without arguments; *decode_result* as in the constructor."""
        decode = result_decoder(decode_result=decode_result)
        return NoArgsTaskDefinition(name, decode, None, **settings)

    @staticmethod
    def no_args_json(
        name: str, *, result_type: type[S], **settings: Unpack[SettingsDict]
    ) -> NoArgsTaskDefinition[S]:
        """Define a task without arguments that returns a DTO, or any other type."""
        decode = result_decoder(result_type=result_type)
        return NoArgsTaskDefinition(name, decode, None, **settings)

    @staticmethod
    def no_args_versioned_json(
        name: str,
        *,
        version: int,
        decode_result: VersionedDecoder[S],
        default_decode_version: int | None = None,
        **settings: Unpack[SettingsDict],
    ) -> NoArgsTaskDefinition[S]:
        """Define one without arguments whose result is marked with *version*."""
        check_version(version)
        decode, encode = result_writer(
            {
                "decode_result_versioned": decode_result,
                "default_decode_version": default_decode_version or version,
            },
            version,
        )
        return NoArgsTaskDefinition(name, decode, encode, **settings)

    @staticmethod
    def no_args_codec(
        name: str, result_codec: PayloadCodec[S], **settings: Unpack[SettingsDict]
    ) -> NoArgsTaskDefinition[S]:
        """Define a task without arguments whose result has a codec."""
        decode = result_decoder(decode_result=result_codec.decode)
        return NoArgsTaskDefinition(name, decode, result_codec.encode, **settings)

    # --- verbs

    def encode_args(self, args: A) -> dict[str, object]:
        """
        Return *args* as they cross the wire: by name, plain values.

        Raises:
            PayloadError: If a part has no wire form; names its path.
        """
        return self._encode(args)

    def build_call(self, args: A, **call: Unpack[CallDict]) -> TaskCall:
        """Return the enqueue as a value, for ``enqueue_call`` and ``enqueue_many``."""
        return self._call(self.encode_args(args), call)

    def enqueue(
        self, enqueuer: TaskEnqueuer, args: A, **call: Unpack[CallDict]
    ) -> TaskHandle[R]:
        """
        Enqueue one run of the task.

        Args:
            enqueuer: An app, or a context.
            args: The arguments.
            call: The fields of ``CallDict``.

        Raises:
            PayloadError: If a part of *args* has no wire form.
            QueueFull: If there is no room for as long as ``enqueue_timeout``.
            AppNotStarted: If nothing runs that could take it.
        """
        return self._enqueue(enqueuer, self.encode_args(args), call)

    def enqueue_and_wait(
        self,
        caller: TaskEnqueuer,
        args: A,
        *,
        timeout: Duration | None = None,
        **call: Unpack[CallDict],
    ) -> TaskResult[R]:
        """As ``enqueue``; waits for *timeout* at most until the task has ended."""
        return self.enqueue(caller, args, **call).wait(wait_time(timeout, call))

    async def aenqueue_and_wait(
        self,
        caller: TaskEnqueuer,
        args: A,
        *,
        timeout: Duration | None = None,
        **call: Unpack[CallDict],
    ) -> TaskResult[R]:
        """As ``enqueue_and_wait``, without blocking the event loop."""
        return await self.enqueue(caller, args, **call).await_(wait_time(timeout, call))


def _define(
    name: str,
    encode_args: Callable[[B], dict[str, object]],
    decode_args: Callable[[Any], B] | None,
    version: int | None,
    given: DefinitionDict[S],
) -> TaskDefinition[B, S]:
    decode, encode = result_writer(given, version)
    made: TaskDefinition[B, S] = TaskDefinition(
        name,
        encode_args,
        decode_args=decode_args,
        encode_result=encode,
        default_options=given.get("default_options"),
        metadata=given.get("metadata"),
    )
    made._encode = encode_args  # what it returns is lowered: not once more
    if decode is not None:
        made._decode = decode  # a type says itself whether None fits
    return made


def _dto_map(args: object) -> dict[str, object]:
    return lowered_map(args, path="args")


def _versioned_reader(decode: VersionedDecoder[B], version: int) -> Callable[[Any], B]:
    return lambda stored: decode_versioned(stored, decode, default=version, path="args")
