"""The far side of the task surface, in memory: a submitter, a source, a runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from stem_actor.engine.execute import Delivery, Report, aexecute, execute
from stem_actor.engine.publish import Publisher
from stem_actor.errors import QueueFull
from stem_actor.ids import new_id
from stem_actor.model.error import TaskError
from stem_actor.model.status import TaskStatus
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.wire import unpack
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import ARGS, TaskHead, TaskRecord, unpack_record
from stem_actor.tasks.decorator import task
from stem_actor.tasks.outcome import unpack_failure
from stem_actor.tasks.ports import Interruption, PendingHandle, Submitter
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task


@dataclass
class Sent:
    """One submission, as it would lie in the ring."""

    record: TaskRecord
    timeout_ns: int

    @property
    def head(self) -> TaskHead:
        return self.record.head

    @property
    def content(self) -> Any:
        return unpack(self.record.body)


class FakeSubmitter:
    """Keeps what it is given; has *room* for so many tasks."""

    def __init__(self, room: int = 1 << 30, batch: int = 1 << 30) -> None:
        self.sent: list[Sent] = []
        self.refused: list[int] = []  # the time-outs of those that found no room
        self.stowed: list[bytes] = []
        self.discarded: list[bytes] = []
        self.room = room
        self.batch = batch

    def submit(
        self, head: bytes, body: bytes, *, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        ids, ticket = self.submit_many(head, [body], queue=queue, timeout_ns=timeout_ns)
        return ids[0], ticket

    def submit_many(
        self, head: bytes, bodies: Sequence[bytes], *, queue: str, timeout_ns: int
    ) -> tuple[list[bytes], int]:
        if not self.room:
            self.refused.append(timeout_ns)
            raise QueueFull(queue, len(self.sent))
        first = len(self.sent) + 1
        accepted = bodies[: min(self.room, self.batch)]
        for body in accepted:
            self.sent.append(Sent(whole_record(head, body), timeout_ns))
        self.room -= len(accepted)
        return [new_id() for _ in accepted], first

    def stow(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        self.stowed.append(body)
        return head, body

    def discard(self, body: bytes) -> None:
        self.discarded.append(body)


class FakeSource:
    """Settles handles by ``outcomes``, one each time that it is waited for."""

    def __init__(self) -> None:
        self.handles: dict[int, PendingHandle] = {}
        self.outcomes: dict[int, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, object]] = []
        self.others: dict[bytes, bytes] = {}

    def attach(self, ticket: int, handle: PendingHandle) -> None:
        self.handles[ticket] = handle

    def attach_many(self, first_ticket: int, handles: Sequence[PendingHandle]) -> None:
        self.handles.update(enumerate(handles, first_ticket))

    def end(self, ticket: int, kind: int, payload: bytes) -> None:
        self.handles[ticket].settle(kind, 0, 1, payload)

    def wait(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        self.asked.append(("wait", timeout_ns))
        if self.outcomes:
            ticket = next(iter(self.outcomes))
            kind, payload = self.outcomes.pop(ticket)
            self.end(ticket, kind, payload)
        return handle.is_settled

    async def wait_async(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        return self.wait(handle, timeout_ns)

    def status(self, task_id: bytes) -> TaskStatus | None:
        self.asked.append(("status", task_id))
        return None

    def revoke(self, task_id: bytes, *, terminate: bool, reason: str | None) -> bool:
        self.asked.append(("revoke", (task_id, terminate, reason)))
        return True

    def identify(self, task_id: bytes) -> bytes:
        self.asked.append(("identify", task_id))
        return self.others.get(task_id, task_id)


@dataclass
class FakeRuntime:
    """A worker's side of one start."""

    submitter: Submitter | None = None
    interruption: Interruption | None = None
    left_ns: int | None = None
    reports: list[bytes] = field(default_factory=list)
    extensions: list[int] = field(default_factory=list)

    def progress(self, payload: bytes) -> None:
        self.reports.append(payload)

    def extend(self, by_ns: int) -> None:
        self.extensions.append(by_ns)

    def extend_limit(self, by_ns: int) -> int:
        return by_ns

    def shield(self, at_most_ns: int) -> AbstractContextManager[None]:
        return nullcontext()

    def facts(self) -> Mapping[str, object]:
        return {"wallS": 1.5}

    def remaining_ns(self) -> int | None:
        return self.left_ns


@dataclass
class Shop:
    """A publisher over fakes."""

    submitter: FakeSubmitter
    source: FakeSource
    publisher: Publisher

    @property
    def last(self) -> Sent:
        return self.submitter.sent[-1]


def open_shop(
    *tasks: Task[..., Any],
    room: int = 1 << 30,
    encoders: TaskPayloadEncoderRegistry | None = None,
) -> Shop:
    """Return a connected publisher of *tasks*."""
    publisher = Publisher(Registry(), encoders=encoders)
    shop = Shop(FakeSubmitter(room), FakeSource(), publisher)
    shop.publisher.connect(shop.submitter, shop.source)
    for each in tasks:
        shop.publisher.registry.add(each)
        each.attach(shop.publisher)
    return shop


def whole_record(head: bytes, body: bytes) -> TaskRecord:
    """Return the record of *head*, whose body length the C core would fill in."""
    bare = unpack_record(head)
    return TaskRecord(bare.head, body, 0)


def delivery_of(sent: Sent, *, attempt: int = 0) -> Delivery:
    """Return the first start of a submission."""
    head = sent.head
    return Delivery(
        new_id(), attempt, 1, head.kind, sent.record.body, lambda: head, head.flags
    )


def bare_delivery(body: bytes = b"\x80", **head: Any) -> Delivery:
    """Return a start with *body*, arguments alone."""
    whole = replace(TaskHead(name="task"), **head)
    return Delivery(bytes(16), 0, 1, ARGS, body, lambda: whole, whole.flags)


def add(a: int, b: int = 2) -> int:
    """The handler that most tests run."""
    return a + b


def fresh(handler: Callable[..., Any] = add, **options: Any) -> Any:
    """Return a new task of *handler*, typed loosely: tests break its rules."""
    return task(**options)(handler)


def run(
    handler: Callable[..., Any],
    delivery: Delivery | None = None,
    runtime: FakeRuntime | None = None,
    **kw: Any,
) -> Report:
    """Execute *handler* once, on a loop if it is a coroutine function."""
    task = fresh(handler, name="task")
    delivery, runtime = delivery or bare_delivery(), runtime or FakeRuntime()
    if asyncio.iscoroutinefunction(handler):
        return asyncio.run(aexecute(task, delivery, runtime, **kw))
    return execute(task, delivery, runtime, **kw)


def raising(exc: BaseException, *, is_async: bool = False) -> Callable[..., Any]:
    """Return a handler that raises *exc*."""

    def handler() -> None:
        raise exc

    async def coroutine() -> None:
        raise exc

    return coroutine if is_async else handler


def error_of(report: Report, kind: int = Kind.FAILED) -> TaskError:
    """Return the error of a report that must be of *kind*."""
    assert report.kind == kind
    return unpack_failure(report.payload)
