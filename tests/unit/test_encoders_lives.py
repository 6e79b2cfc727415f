"""Encoders in the life of a task: where they act, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from stem_actor import (
    Base64PayloadEncoder,
    JsonPayloadEncoder,
    TaskCall,
    TaskContext,
    TaskMetadata,
    TaskPayloadEncoderRegistry,
)
from stem_actor.payload.wire import pack_value, unpack
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import ARGS, ARGS_HEADERS_META, IGNORE_RESULT
from stem_actor.tasks.outcome import (
    NOTHING,
    unpack_success,
)
from tests.unit.encoders import (
    Wrapper,
    live,
    registry,
    settled,
)
from tests.unit.task_surface import (
    fresh,
    open_shop,
)


def test_arguments_and_result_are_encoded_once_and_decoded_once() -> None:
    encoder, task = Wrapper(), fresh(name="add")
    shop = open_shop(task, encoders=registry(encoder))

    handle = task.enqueue(1, b=4)
    report = live(task, shop)
    value = settled(handle, report).result()

    assert value == 5
    assert encoder.calls == ["encode", "decode", "encode", "decode"]
    args, headers, meta = shop.last.content
    assert unpack(args["wrapper"]) == {"a": 1, "b": 4}
    assert (headers, meta) == ({"stem-args-encoder": "wrapper"}, {})
    assert unpack_success(report.payload)[1] == {"__stemResultEncoder": "wrapper"}


def test_reading_status_and_value_together_decodes_the_result_once() -> None:
    encoder, task = Wrapper(), fresh(name="add")
    shop = open_shop(task, encoders=registry(encoder))
    handle = settled(task.enqueue(1), live(task, shop))
    encoder.calls.clear()

    result = handle.wait()

    assert (result.value, result.raw_payload, result.status.payload) == (3, 3, 3)
    assert result.status.meta == {"__stemResultEncoder": "wrapper"}
    assert encoder.calls == ["decode"]


def test_plain_tasks_bear_no_mark_and_never_meet_the_apps_additional_encoders() -> None:
    encoder, task = Wrapper(), fresh(name="add")
    shop = open_shop(task, encoders=TaskPayloadEncoderRegistry(None, None, [encoder]))

    task.enqueue(1)
    report = live(task, shop)

    assert (shop.last.head.kind, shop.last.content) == (ARGS, {"a": 1})
    assert report.payload == pack_value(3)
    assert encoder.calls == []


@pytest.mark.parametrize("own", [None, Wrapper("own"), JsonPayloadEncoder()])
def test_a_task_names_its_own_encoder_over_that_of_the_app(own: Any) -> None:
    task = fresh(
        name="add", metadata=TaskMetadata(args_encoder=own, result_encoder=own)
    )
    shop = open_shop(task, encoders=registry(Wrapper("app")))

    handle = task.enqueue(1)
    report = live(task, shop)

    assert settled(handle, report).result() == 3
    if isinstance(own, JsonPayloadEncoder):
        assert (shop.last.head.kind, report.payload) == (ARGS, pack_value(3))
    else:
        expected = "app" if own is None else "own"
        assert shop.last.content[1] == {"stem-args-encoder": expected}


@pytest.mark.parametrize("way", ["call", "many", "map", "options", "later", "async"])
def test_each_way_of_enqueueing_encodes_once(way: str) -> None:
    encoder, task = Wrapper(), fresh(name="add")
    shop = open_shop(task, encoders=registry(encoder))
    publisher = shop.publisher
    call = TaskCall(name="add", args={"a": 1}, headers={"x": "y"}, meta={"m": 1})
    ways: dict[str, Callable[[], object]] = {
        "call": lambda: publisher.enqueue_call(call),
        "many": lambda: publisher.enqueue_many([TaskCall(name="add", args={"a": 1})]),
        "map": lambda: task.map([1]),
        "options": lambda: task.with_options(priority=9).enqueue(1),
        "later": lambda: task.with_options(countdown=5, task_id=None).enqueue(1),
        "async": lambda: asyncio.run(_aenqueue(task)),
    }

    ways[way]()

    args, headers, _meta = shop.last.content
    assert encoder.calls == ["encode"]
    assert unpack(args["wrapper"]) == {"a": 1}
    assert headers["stem-args-encoder"] == "wrapper"
    assert shop.last.head.kind == ARGS_HEADERS_META
    assert live(task, shop).kind == Kind.SUCCEEDED


async def _aenqueue(task: Any) -> object:
    return await task.aenqueue(1)


def test_a_try_that_found_no_room_does_not_encode_again() -> None:
    encoder, task = Wrapper(), fresh(name="add")
    shop = open_shop(task, encoders=registry(encoder), room=0)

    async def enqueue() -> None:
        waiting = asyncio.ensure_future(task.aenqueue(1))
        while len(shop.submitter.refused) < 3:
            await asyncio.sleep(0)
        shop.submitter.room = 1
        await waiting

    asyncio.run(enqueue())

    assert encoder.calls == ["encode"]


def test_a_header_that_was_forwarded_marks_nothing() -> None:
    task = fresh(name="add")
    shop = open_shop(task)

    shop.publisher.enqueue_call(
        TaskCall(
            name="add", args={"a": 1}, headers={"stem-args-encoder": "gone", "x": "y"}
        )
    )

    assert shop.last.content == [{"a": 1}, {"x": "y"}, {}]


def test_the_handler_sees_the_marks_and_plain_arguments() -> None:
    seen: list[object] = []

    def handler(context: TaskContext, a: int) -> None:
        seen.extend((context.args, context.headers, context.meta))

    task = fresh(handler, name="seeing")
    shop = open_shop(task, encoders=registry(Wrapper()))

    task.enqueue(1)
    live(task, shop)

    assert seen == [
        {"a": 1},
        {"stem-args-encoder": "wrapper"},
        {"__stemArgsEncoder": "wrapper"},
    ]


def test_arguments_without_a_mark_are_plain_whatever_the_task_would_use() -> None:
    plain, encoding = fresh(name="add"), fresh(name="add")
    shop = open_shop(plain)
    other = open_shop(encoding, encoders=registry(Wrapper()))

    plain.enqueue(1)
    other.submitter.sent.append(shop.last)

    assert live(encoding, other).kind == Kind.SUCCEEDED


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize("is_async", [False, True])
def test_typed_arguments_and_results_are_lowered_before_and_raised_after(
    is_async: bool,
) -> None:
    def handler(point: Point, by: int = 1) -> Point:
        return Point(point.x + by)

    async def coroutine(point: Point, by: int = 1) -> Point:
        return Point(point.x + by)

    task = fresh(coroutine if is_async else handler, name="move")
    shop = open_shop(task, encoders=registry(Base64PayloadEncoder()))

    handle = task.enqueue(Point(1), by=2)

    assert settled(handle, live(task, shop)).result() == Point(3)


def test_an_ignored_result_is_not_encoded_and_none_is() -> None:
    def handler() -> None:
        return None

    encoder, task = Wrapper(), fresh(handler, name="none")
    shop = open_shop(task, encoders=registry(encoder))

    task.enqueue()
    assert live(task, shop).payload != NOTHING
    task.with_options(ignore_result=True).enqueue()
    assert shop.last.head.flags & IGNORE_RESULT
    assert live(task, shop).payload == NOTHING
