"""Encoders that tests use, and the way of one task through both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stem_actor import (
    TaskPayloadEncoder,
    TaskPayloadEncoderRegistry,
)
from stem_actor.engine.execute import Report, aexecute, execute
from stem_actor.payload.wire import pack_value, unpack
from stem_actor.tasks.handle import TaskHandle
from tests.unit.task_surface import (
    FakeRuntime,
    Shop,
    delivery_of,
)


class Wrapper(TaskPayloadEncoder):
    """Wraps each value, once; tells of each call, and of what is wrapped otherwise."""

    def __init__(self, id: str = "wrapper") -> None:
        self.id = id
        self.calls: list[str] = []

    def encode(self, value: object) -> object:
        self.calls.append("encode")
        return {self.id: pack_value(value)}

    def decode(self, stored: object) -> object:
        self.calls.append("decode")
        assert isinstance(stored, dict)
        assert list(stored) == [self.id], "it was not encoded exactly once"
        return unpack(stored[self.id])


class Failing(TaskPayloadEncoder):
    """Fails, or makes something odd, where it is told to."""

    id = "failing"

    def __init__(
        self, encode: Callable[[Any], object], decode: Callable[[Any], object]
    ) -> None:
        self._encode, self._decode = encode, decode

    def encode(self, value: object) -> object:
        return self._encode(value)

    def decode(self, stored: object) -> object:
        return self._decode(stored)


def same(value: Any) -> Any:
    return value


def raising(value: Any) -> Any:
    raise RuntimeError(f"secret {value!r}")


def registry(encoder: Any = None, **kw: Any) -> TaskPayloadEncoderRegistry:
    return TaskPayloadEncoderRegistry(encoder, encoder, **kw)


def live(task: Any, shop: Shop, runtime: FakeRuntime | None = None, **kw: Any) -> Any:
    """Execute the last submission, and settle its handle; returns the report."""
    delivery = delivery_of(shop.last, **kw)
    runtime = runtime or FakeRuntime()
    if asyncio.iscoroutinefunction(task.handler):
        return asyncio.run(aexecute(task, delivery, runtime))
    return execute(task, delivery, runtime)


def settled(handle: TaskHandle[Any], report: Report) -> TaskHandle[Any]:
    handle.settle(report.kind, 0, 1, report.payload)
    return handle


class Hiding(Wrapper):
    """Its bytes show nothing: turned round, bit by bit."""

    def encode(self, value: object) -> object:
        packed = super().encode(value)
        assert isinstance(packed, dict)
        return {self.id: bytes(255 - it for it in packed[self.id])}

    def decode(self, stored: object) -> object:
        assert isinstance(stored, dict)
        return super().decode({self.id: bytes(255 - it for it in stored[self.id])})
