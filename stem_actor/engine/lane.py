"""RingLane: the prepared way of one task, under one set of options, to the ring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from stem_actor.clock import Clock
from stem_actor.engine.children import CHILD_RESULTS, inherited
from stem_actor.engine.claims import UniqueKey
from stem_actor.engine.disconnected import Disconnected
from stem_actor.engine.frame import THREE, Frame
from stem_actor.engine.head import build_head, check_options
from stem_actor.errors import BrokerUnavailable, PayloadError, QueueFull
from stem_actor.ids import parse_id
from stem_actor.model.duration import Duration, to_ns, to_wall_ns
from stem_actor.model.enqueue_options import TaskEnqueueOptions, TaskOptionsDict
from stem_actor.model.options import TaskOptions
from stem_actor.payload.encoder import ARGS_ENCODER, pack_encoded_args
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.wire import pack_args, pack_value
from stem_actor.policy.merge import merge_options
from stem_actor.ring.record import ARGS, ARGS_HEADERS_META
from stem_actor.tasks.context import CURRENT, TaskContext
from stem_actor.tasks.defined import Laned
from stem_actor.tasks.exceptions import ExceptionCatalog
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.outcome import OutcomeReader
from stem_actor.tasks.ports import ResultSource, Submitter
from stem_actor.tasks.unique_handle import UniqueHandle

__all__ = ["Frame", "Line", "RingLane"]

Args = dict[str, object]
T = TypeVar("T")

_BATCH: Final = 1024
_DEFAULTS: Final = TaskEnqueueOptions()

# Bounds of the pause between two tries of an ``apublish`` that finds no room.
_PAUSE_S: Final = 0.001
_PAUSE_MAX_S: Final = 0.05


class Line(Protocol):
    """Where lanes lead to; changes when the app is started and stopped."""

    @property
    def submitter(self) -> Submitter: ...

    @property
    def source(self) -> ResultSource: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def exceptions(self) -> ExceptionCatalog: ...

    @property
    def encoders(self) -> TaskPayloadEncoderRegistry: ...


class RingLane:
    """
    See ``tasks.task.Lane``.

    ``publish`` is a closure over everything that is known beforehand. It leaves the
    hot path for whatever is not: instants, headers and meta, and runs in handlers.

    Attributes:
        reader: Reads the outcomes of its tasks.
        encoders: What it encodes by; a task that is attached again has others.
    """

    def __init__(
        self,
        line: Line,
        task: Laned,
        *,
        options: TaskOptions | TaskOptionsDict | None = None,
        enqueue: TaskEnqueueOptions | None = None,
    ) -> None:
        """
        Prepare the way.

        Raises:
            SettingsError: If the options cannot be honoured by the ring.
            InvalidOptions: If they contradict each other once they are merged.
            PayloadTooLarge: If the filters of the retry policy are too many.
        """
        merged = merge_options(task.options, call=options, enqueue=enqueue)
        refused = task.option_problems(merged)
        check_options(f"{task.place}: task {task.name}", merged, enqueue, refused)
        self._line = line
        self._options = enqueue or _DEFAULTS
        self.encoders, encoder = task.encoders, task.encoders.args
        # Arguments that an encoder has made bear its mark, a header; plain ones none.
        self._marks = {} if encoder is None else {ARGS_ENCODER: encoder.id}
        self._pack: Callable[[Args], bytes] = (
            pack_args if encoder is None else partial(pack_encoded_args, encoder)
        )
        kind = ARGS_HEADERS_META if self._marks else ARGS
        self._merged = merged
        self._unique: UniqueKey | None = None
        self._handle: type[TaskHandle[Any]] = TaskHandle
        if merged.unique:
            for_ns = merged.unique_for_ns or 0
            self._unique = UniqueKey(task.name, merged.queue, for_ns)
            self._handle = UniqueHandle
        self._head = build_head(task.name, merged, kind=kind)
        self._packed_head = self._head.pack()
        # The value that an ignored result leaves fits no annotation but None's.
        decode = None if merged.ignore_result else task.decode_result
        self.reader: Final = OutcomeReader(decode, line.exceptions, line.encoders)
        on_full = self._options.on_full
        self._timeout_ns = 0 if on_full == "raise" else self._options.enqueue_timeout_ns
        self._is_static = self._options.task_id is None and all(
            value is None
            for value in (
                self._options.countdown,
                self._options.eta,
                self._options.expires,
                self._options.deadline,
            )
        )
        is_hot = self._is_static and self._unique is None
        self.publish: Callable[[Args], TaskHandle[Any]] = (
            self._hot_path() if is_hot else self.publish_with
        )

    def publish_with(
        self,
        args: Args,
        *,
        headers: Mapping[str, str] | None = None,
        meta: Mapping[str, object] | None = None,
        not_before: datetime | Duration | None = None,
    ) -> TaskHandle[Any]:
        """Publish with what may differ from call to call."""
        frame = self.frame(headers, meta, not_before)
        body, timeout_ns = frame.body(args), _bounded(frame.timeout_ns)
        return self._send(frame, body, timeout_ns, head=frame.head_of(args))

    def publish_many(self, maps: Iterable[Args]) -> list[TaskHandle[Any]]:
        """
        Publish each of *maps* in order.

        Raises:
            QueueFull: If there is no room for all; a note says how many got through.
            BrokerUnavailable: Likewise, if nobody runs the ring.
        """
        frame = self.frame(None, None, None)
        if frame.claim is not None:
            return self._publish_each(frame, list(maps))
        bodies = [frame.body(args) for args in maps]
        if len(bodies) > 1 and self._options.task_id is not None:
            raise ValueError("one task_id cannot stand for more than one task")
        handles: list[TaskHandle[Any]] = []
        reader, source = self.reader, frame.source
        timeout_ns = _bounded(frame.timeout_ns)
        while len(handles) < len(bodies):
            batch = bodies[len(handles) : len(handles) + _BATCH]
            try:
                ids, ticket = frame.submitter.submit_many(
                    frame.head, batch, queue=self._head.queue, timeout_ns=timeout_ns
                )
            except (QueueFull, BrokerUnavailable, PayloadError) as error:
                error.add_note(_part(handles, len(bodies)))
                raise
            accepted: list[TaskHandle[Any]] = [
                TaskHandle(raw_id, source, reader) for raw_id in ids
            ]
            source.attach_many(ticket, accepted)
            handles += accepted
        return handles

    async def apublish(self, args: Args) -> TaskHandle[Any]:
        """Publish; waits for room without blocking the event loop."""
        frame = self.frame(None, None, None)
        body, submitter = frame.body(args), frame.submitter
        own_head = frame.head_of(args)
        end_ns = self._line.clock.monotonic_ns() + frame.timeout_ns
        if isinstance(submitter, Disconnected):
            await self._patiently(end_ns, submitter.approach)
        # Once, not at each try: a large body is written to a file.
        head, claim = await self._patiently(
            end_ns, lambda: submitter.stow(own_head, body)
        )
        try:
            return await self._patiently(
                end_ns, lambda: self._send(frame, claim, 0, head=head)
            )
        except (QueueFull, BrokerUnavailable, PayloadError, asyncio.CancelledError):
            submitter.discard(claim)  # none of them comes after an acceptance
            raise

    def _publish_each(self, frame: Frame, maps: list[Args]) -> list[TaskHandle[Any]]:
        """Publish tasks of which each has a head of its own."""
        bodies = [frame.body(args) for args in maps]
        heads = [frame.head_of(args) for args in maps]
        if len(bodies) > 1 and self._options.task_id is not None:
            raise ValueError("one task_id cannot stand for more than one task")
        handles: list[TaskHandle[Any]] = []
        timeout_ns = _bounded(frame.timeout_ns)
        for head, body in zip(heads, bodies, strict=True):
            try:
                handles.append(self._send(frame, body, timeout_ns, head=head))
            except (QueueFull, BrokerUnavailable, PayloadError) as error:
                error.add_note(_part(handles, len(bodies)))
                raise
        return handles

    async def _patiently(self, end_ns: int, take: Callable[[], T]) -> T:
        """Return what *take* does, tried until *end_ns* while it is refused."""
        pause_s = _PAUSE_S
        while True:
            try:
                return take()
            except (QueueFull, BrokerUnavailable):
                left_s = (end_ns - self._line.clock.monotonic_ns()) / 1e9
                if left_s <= 0:
                    raise
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _hot_path(self) -> Callable[[Args], TaskHandle[Any]]:
        line, reader, slow = self._line, self.reader, self.publish_with
        head, queue, timeout_ns = self._packed_head, self._head.queue, self._timeout_ns
        current, running_loop = CURRENT.get, asyncio._get_running_loop
        pack = self._hot_pack()

        def publish(args: Args) -> TaskHandle[Any]:
            if current() is not None:
                return slow(args)
            body = pack(args)
            raw_id, ticket = line.submitter.submit(
                head,
                body,
                queue=queue,
                timeout_ns=timeout_ns if running_loop() is None else 0,
            )
            source = line.source
            handle: TaskHandle[Any] = TaskHandle(raw_id, source, reader)
            source.attach(ticket, handle)
            return handle

        return publish

    def _hot_pack(self) -> Callable[[Args], bytes]:
        """Return what makes a body without headers and meta of the caller's."""
        encode, tail = self._pack, _tail(self._marks, {})
        if not tail:
            return encode

        def pack(args: Args) -> bytes:
            return THREE + encode(args) + tail

        return pack

    def _send(
        self, frame: Frame, body: bytes, timeout_ns: int, *, head: bytes | None = None
    ) -> TaskHandle[Any]:
        """*head*: if it is another than that of the frame."""
        raw_id, ticket = frame.submitter.submit(
            head or frame.head, body, queue=self._head.queue, timeout_ns=timeout_ns
        )
        kind = self._handle if frame.source is not CHILD_RESULTS else TaskHandle
        handle: TaskHandle[Any] = kind(raw_id, frame.source, self.reader)
        frame.source.attach(ticket, handle)
        return handle

    def frame(
        self,
        headers: Mapping[str, str] | None,
        meta: Mapping[str, object] | None,
        not_before: datetime | Duration | None,
    ) -> Frame:
        """Return what a submission here and now consists of beside its arguments."""
        parent = CURRENT.get()
        submitter = None if parent is None else parent.runtime.submitter
        if parent is None or submitter is None:  # not in a worker
            headers = self._marked(headers or {})
            return Frame(
                self._head_bytes(not_before, headers, meta, 0),
                self._pack,
                _tail(headers, meta or {}),
                self._line.submitter,
                self._line.source,
                self._timeout_ns,
                self._claim(headers, meta or {}),
            )
        headers, meta = inherited(
            parent, headers or {}, meta or {}, lineage=self._options.add_to_parent
        )
        headers = self._marked(headers)
        return Frame(
            self._head_bytes(
                not_before, headers, meta, parent.delivery.head.deadline_ns
            ),
            self._pack,
            _tail(headers, meta),
            submitter,
            CHILD_RESULTS,
            _until_limit(parent, self._timeout_ns),
            self._claim(headers, meta),
        )

    def _claim(
        self, headers: Mapping[str, str], meta: Mapping[str, object]
    ) -> Callable[[Args], bytes] | None:
        unique = self._unique
        if unique is None:
            return None
        return lambda args: unique.claim(args, headers, meta)

    def _marked(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return *headers* with the mark of this lane's encoder, and no other one."""
        if not self._marks and ARGS_ENCODER not in headers:
            return headers
        others = {k: v for k, v in headers.items() if k != ARGS_ENCODER}
        return {**others, **self._marks}

    def _head_bytes(
        self,
        not_before: datetime | Duration | None,
        headers: Mapping[str, str] | None,
        meta: Mapping[str, object] | None,
        deadline_ns: int,
    ) -> bytes:
        """*deadline_ns* is the parent's, 0: none."""
        has_tail = bool(headers or meta)
        is_as_packed = has_tail == (self._head.kind == ARGS_HEADERS_META)
        has_group = bool(headers) and self._merged.group_rate is not None
        is_as_packed = is_as_packed and not has_group  # which one, the headers say
        if self._is_static and is_as_packed and not (not_before or deadline_ns):
            return self._packed_head
        options, now_ns = self._options, self._line.clock.wall_ns()
        start_ns = options.not_before_ns(now_ns)
        if start_ns is None:
            start_ns = _start_ns(not_before, now_ns)
        own_ns = options.deadline_ns(now_ns) or 0
        deadlines = [ns for ns in (own_ns, deadline_ns) if ns]
        head = self._head
        if has_group:
            head = build_head(head.name, self._merged, headers=headers)
        head = replace(
            head,
            kind=ARGS_HEADERS_META if has_tail else ARGS,
            not_before_ns=start_ns,
            expires_ns=options.expires_ns(now_ns) or 0,
            deadline_ns=min(deadlines, default=0),
        )
        if options.task_id is not None:
            head = replace(head, task_id=parse_id(options.task_id))
        return head.pack()


def _tail(headers: Mapping[str, str], meta: Mapping[str, object]) -> bytes:
    if not headers and not meta:
        return b""
    for name, value in headers.items():
        if not isinstance(value, str):
            path = f"headers.{name}"
            raise PayloadError(f"{path} is no text: {value!r}", path=path)
    packed_headers = pack_value(dict(headers), path="headers")
    return packed_headers + pack_value(dict(meta), path="meta")


def _part(handles: list[TaskHandle[Any]], count: int) -> str:
    return f"{len(handles)} of {count} tasks were enqueued"


def _bounded(timeout_ns: int) -> int:
    """In a running event loop nothing waits: it would stop everything else too."""
    return timeout_ns if asyncio._get_running_loop() is None else 0


def _until_limit(parent: TaskContext, timeout_ns: int) -> int:
    left_ns = parent.runtime.remaining_ns()
    return timeout_ns if left_ns is None else max(0, min(timeout_ns, left_ns))


def _start_ns(not_before: datetime | Duration | None, now_ns: int) -> int:
    if not_before is None:
        return 0
    if isinstance(not_before, datetime):
        return to_wall_ns(not_before, "not_before")
    return now_ns + to_ns(not_before, "not_before")
