"""Producing: the verbs by which tasks are enqueued by name, and waited for by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Unpack, overload

from stem_actor.model.duration import Duration
from stem_actor.model.result import TaskResult
from stem_actor.model.version import VersionedDecoder
from stem_actor.payload.codec import PayloadCodec, lowered_map, versioned
from stem_actor.tasks.call import CallDict, TaskCall, wait_time
from stem_actor.tasks.found import FoundTask
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.result_decoder import as_stored, result_decoder

__all__ = ["Producing"]

T = TypeVar("T")
V = TypeVar("V")


class Producing:
    """What an app and a context have in common: a ``TaskResultCaller``, and more."""

    __slots__ = ()

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        """As ``enqueue``, for a prepared call."""
        raise NotImplementedError

    def enqueue(
        self,
        name: str,
        args: Mapping[str, object] | None = None,
        **call: Unpack[CallDict],
    ) -> TaskHandle[object]:
        """
        Enqueue a task by its name.

        In a handler it becomes a child of the handler's task: it inherits the trace
        and tenant headers, the lineage and the deadline, and cannot be waited for
        there.

        Args:
            name: The task's name or alias.
            args: Its arguments by name.
            call: The fields of ``CallDict``: ``headers``, ``meta``, ``options``,
                ``enqueue_options``, ``not_before``.

        Raises:
            TaskNotRegistered: If no task has that name; suggests the nearest. An app
                without any task that enqueues to a ring which others run never asks.
            TypeError: If the arguments are not those of the handler.
            PayloadError: If an argument has no wire form; names its path.
            QueueFull: If there is no room for as long as ``enqueue_timeout``, in a
                handler also for as long as it may run.
            AppNotStarted: If nothing runs that could take it.
        """
        return self.enqueue_call(TaskCall(name=name, args=args or {}, **call))

    def enqueue_value(
        self,
        name: str,
        value: T,
        *,
        codec: PayloadCodec[T] | None = None,
        **call: Unpack[CallDict],
    ) -> TaskHandle[object]:
        """
        As ``enqueue``; the arguments are the map that *codec* makes of *value*.

        Without a codec *value* is that map itself.

        Raises:
            PayloadError: If it comes to no map with text as keys.
        """
        plain: object = value if codec is None else codec.encode(value)
        args = lowered_map(plain, path="args")
        return self.enqueue_call(TaskCall(name=name, args=args, **call))

    def enqueue_json(
        self, name: str, dto: object, **call: Unpack[CallDict]
    ) -> TaskHandle[object]:
        """As ``enqueue``; the arguments are the fields of *dto*."""
        args = lowered_map(dto, path="args")
        return self.enqueue_call(TaskCall(name=name, args=args, **call))

    def enqueue_versioned_json(
        self, name: str, dto: object, *, version: int, **call: Unpack[CallDict]
    ) -> TaskHandle[object]:
        """As ``enqueue_json``; the map says that it is of *version* of its schema."""
        args = versioned(dto, version, path="args")
        return self.enqueue_call(TaskCall(name=name, args=args, **call))

    def enqueue_and_wait(
        self,
        name: str,
        args: Mapping[str, object] | None = None,
        *,
        timeout: Duration | None = None,
        **call: Unpack[CallDict],
    ) -> TaskResult[object]:
        """As ``enqueue``; waits for *timeout* at most until the task has ended."""
        return self.enqueue(name, args, **call).wait(wait_time(timeout, call))

    # --- by id

    @overload
    def wait_for_task(
        self, task_id: str, *, timeout: Duration | None = None
    ) -> TaskResult[object]: ...
    @overload
    def wait_for_task(
        self,
        task_id: str,
        *,
        timeout: Duration | None = None,
        decode: Callable[[Any], V],
    ) -> TaskResult[V]: ...
    @overload
    def wait_for_task(
        self, task_id: str, *, timeout: Duration | None = None, decode_json: type[V]
    ) -> TaskResult[V]: ...
    @overload
    def wait_for_task(
        self,
        task_id: str,
        *,
        timeout: Duration | None = None,
        decode_versioned_json: VersionedDecoder[V],
        default_decode_version: int | None = None,
    ) -> TaskResult[V]: ...
    def wait_for_task(
        self, task_id: str, *, timeout: Duration | None = None, **decoder: Any
    ) -> TaskResult[Any]:
        """
        Return how a task ended, waiting for that; a failure is not raised.

        Any process that is attached to the ring may ask. After *timeout* the answer
        has ``timed_out`` set and the status that was seen last; for an id that nobody
        knows there is an answer at once, without a status.

        Args:
            task_id: The task's id.
            timeout: Longest wait; None: until the task has ended.
            decoder: At most one of ``decode``, a function of the stored result;
                ``decode_json``, the type it is raised to; ``decode_versioned_json``, a
                function of the map and its version, with ``default_decode_version``
                for a map without a mark.

        Raises:
            ValueError: If *task_id* is no task id.
            TypeError: If there is more than one decoder.
            PayloadError: If the result does not fit the decoder.
            AppNotStarted: If there is no ring.
            StemError: In a handler, which would hold the worker that the task needs.
        """
        return self._found(task_id, decoder).wait(timeout)

    @overload
    async def await_for_task(
        self, task_id: str, *, timeout: Duration | None = None
    ) -> TaskResult[object]: ...
    @overload
    async def await_for_task(
        self,
        task_id: str,
        *,
        timeout: Duration | None = None,
        decode: Callable[[Any], V],
    ) -> TaskResult[V]: ...
    @overload
    async def await_for_task(
        self, task_id: str, *, timeout: Duration | None = None, decode_json: type[V]
    ) -> TaskResult[V]: ...
    @overload
    async def await_for_task(
        self,
        task_id: str,
        *,
        timeout: Duration | None = None,
        decode_versioned_json: VersionedDecoder[V],
        default_decode_version: int | None = None,
    ) -> TaskResult[V]: ...
    async def await_for_task(
        self, task_id: str, *, timeout: Duration | None = None, **decoder: Any
    ) -> TaskResult[Any]:
        """As ``wait_for_task``, without blocking the event loop."""
        return await self._found(task_id, decoder).await_(timeout)

    def _find(self, task_id: str, decode: Callable[[Any], V]) -> FoundTask[V]:
        """Return a handle of any task; *decode* reads its result."""
        raise NotImplementedError

    def _found(self, task_id: str, decoder: dict[str, Any]) -> FoundTask[Any]:
        return self._find(task_id, result_decoder(**_public(decoder)) or as_stored)


def _public(decoder: dict[str, Any]) -> dict[str, Any]:
    """Return the decoder under the names that a definition has for it."""
    names = {
        "decode": "decode_result",
        "decode_json": "result_type",
        "decode_versioned_json": "decode_result_versioned",
        "default_decode_version": "default_decode_version",
    }
    unknown = [name for name in decoder if name not in names]
    if unknown:
        raise TypeError(f"wait_for_task() got an unexpected argument {unknown[0]!r}")
    given = [name for name in names if decoder.get(name) is not None]
    if len([name for name in given if name.startswith("decode")]) > 1:
        raise TypeError(f"a result has one decoder, not {' and '.join(given)}")
    return {names[name]: value for name, value in decoder.items()}
