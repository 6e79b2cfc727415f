"""Publishing: heads, bodies, options, lineage; and what is refused before the ring."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from stem_actor import (
    AppNotStarted,
    PayloadError,
    QueueFull,
    SettingsError,
    TaskCall,
    TaskEnqueueOptions,
    TaskNotRegistered,
)
from stem_actor.clock import VirtualClock
from stem_actor.engine.execute import execute
from stem_actor.engine.publish import Publisher
from stem_actor.ids import format_id, new_id
from stem_actor.ring.record import (
    ARGS,
    ARGS_HEADERS_META,
)
from stem_actor.tasks.registry import Registry
from tests.unit.task_surface import (
    FakeRuntime,
    Shop,
    delivery_of,
    fresh,
    open_shop,
)

NOW_NS = VirtualClock().wall_ns()
SECOND = 10**9
NO_TEXT: Any = {"h": 1}


@dataclass
class Order:
    item: str
    count: int = 1


def shop_at_rest(*tasks: Any) -> Shop:
    """Return a shop whose clock stands still at ``NOW_NS``."""
    shop = open_shop()
    shop.publisher = Publisher(Registry(), clock=VirtualClock())
    shop.publisher.connect(shop.submitter, shop.source)
    for each in tasks:
        shop.publisher.registry.add(each)
        each.attach(shop.publisher)
    return shop


# --- heads


def test_a_plain_enqueue_carries_the_bound_arguments_and_the_definition() -> None:
    task = fresh(
        name="add",
        queue="mail",
        priority=3,
        max_retries=4,
        soft_time_limit=1,
        hard_time_limit=2,
        max_crashes=5,
    )
    shop = open_shop(task)

    handle = task.enqueue(1, b=5)

    head = shop.last.head
    assert shop.last.content == {"a": 1, "b": 5}
    assert (head.name, head.queue, head.priority, head.kind) == ("add", "mail", 3, ARGS)
    assert (head.max_retries, head.max_crashes) == (4, 5)
    assert (head.soft_ns, head.hard_ns) == (SECOND, 2 * SECOND)
    assert shop.source.handles[1] is handle


@pytest.mark.parametrize(
    "options",
    [
        {"isolation": "fresh"},
        {"max_extension": 50 * 86400},
        {"max_crashes": 1 << 16},
    ],
)
def test_an_option_that_the_ring_cannot_honour_is_refused(
    options: dict[str, Any],
) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        open_shop(fresh(**options))


# --- enqueue options


def test_enqueue_options_win_over_the_definition() -> None:
    task = fresh(priority=1, queue="slow")
    shop = open_shop(task)

    task.with_options(priority=9, queue="fast", time_limit=3).enqueue(1)

    head = shop.last.head
    assert (head.priority, head.queue, head.hard_ns) == (9, "fast", 3 * SECOND)


def test_times_count_from_each_enqueue_and_not_from_the_options() -> None:
    task = fresh()
    shop = shop_at_rest(task)
    clock: Any = shop.publisher.clock
    later = task.with_options(countdown=5, expires=10, deadline=20)

    later.enqueue(1)
    clock.advance(SECOND)
    later.enqueue(1)

    heads = [sent.head for sent in shop.submitter.sent]
    for head, start in zip(heads, (NOW_NS, NOW_NS + SECOND), strict=True):
        assert head.not_before_ns == start + 5 * SECOND
        assert head.expires_ns == start + 10 * SECOND
        assert head.deadline_ns == start + 20 * SECOND


def test_eta_beats_countdown_and_both_beat_not_before() -> None:
    task = fresh(name="add")
    shop = shop_at_rest(task)
    eta = datetime(2030, 1, 1, tzinfo=UTC)
    call = TaskCall(name="add", args={"a": 1}, not_before=7)

    shop.publisher.enqueue_call(call)
    first = shop.last.head.not_before_ns
    task.with_options(eta=eta, countdown=3).enqueue(1)

    assert first == NOW_NS + 7 * SECOND
    assert shop.last.head.not_before_ns == int(eta.timestamp()) * SECOND


def test_a_task_id_of_the_users_own_travels_in_the_head() -> None:
    task, raw_id = fresh(), new_id()
    shop = open_shop(task)

    task.with_options(task_id=format_id(raw_id)).enqueue(1)

    assert shop.last.head.task_id == raw_id
    with pytest.raises(ValueError, match="more than one task"):
        task.with_options(task_id=format_id(raw_id)).map([1, 2])


def test_the_wait_for_room_is_as_long_as_was_said() -> None:
    task = fresh()
    shop = open_shop(task)

    task.enqueue(1)
    task.with_options(enqueue_timeout=0.25).enqueue(1)
    task.with_options(on_full="raise").enqueue(1)

    waits = [sent.timeout_ns for sent in shop.submitter.sent]
    assert waits == [5 * SECOND, SECOND // 4, 0]


def test_in_an_event_loop_enqueue_does_not_wait_and_aenqueue_does() -> None:
    task = fresh()
    shop = open_shop(task, room=0)

    async def main() -> None:
        with pytest.raises(QueueFull):
            task.enqueue(1)
        with pytest.raises(QueueFull):
            task.map([1])
        waiting = asyncio.create_task(task.aenqueue(2))
        await asyncio.sleep(0)
        shop.submitter.room = 1
        await waiting

    asyncio.run(asyncio.wait_for(main(), 10))

    assert shop.submitter.refused == [0, 0, 0]
    assert shop.last.content == {"a": 2}


def test_aenqueue_gives_up_when_its_time_is_over() -> None:
    task = fresh()
    open_shop(task, room=0)

    with pytest.raises(QueueFull):
        asyncio.run(task.with_options(enqueue_timeout=0.01).aenqueue(1))


def test_an_ignored_result_is_not_raised_to_the_annotation() -> None:
    def order() -> Order:
        return Order("tea")

    task = fresh(order)
    shop = open_shop(task)
    handle = task.with_options(ignore_result=True).enqueue()

    report = execute(task, delivery_of(shop.last), FakeRuntime())
    shop.source.end(1, report.kind, report.payload)

    assert handle.result() is None


# --- many


def test_map_crosses_in_batches_and_keeps_the_order() -> None:
    task = fresh()
    shop = open_shop(task)
    shop.submitter.batch = 3  # accepts no more at a time

    handles = task.map(range(10))

    assert [sent.content["a"] for sent in shop.submitter.sent] == [*range(10)]
    assert [shop.source.handles[n + 1] for n in range(10)] == handles


def test_a_batch_that_finds_no_room_says_how_many_got_through() -> None:
    task = fresh()
    open_shop(task, room=4)

    with pytest.raises(QueueFull) as caught:
        task.map(range(10))

    assert caught.value.__notes__ == ["4 of 10 tasks were enqueued"]


def test_calls_are_enqueued_in_order_whatever_they_are() -> None:
    one, two = fresh(name="one"), fresh(name="two")
    shop = open_shop(one, two)
    calls = [
        one.build_call(1),
        one.build_call(2),
        two.build_call(3),
        one.with_options(priority=4).build_call(4),
    ]

    handles = shop.publisher.enqueue_many(calls)

    assert [sent.content["a"] for sent in shop.submitter.sent] == [1, 2, 3, 4]
    assert shop.last.head.priority == 4
    assert len(handles) == 4


def test_calls_are_all_checked_before_the_first_is_enqueued() -> None:
    task = fresh(name="add")
    shop = open_shop(task)
    wrong = TaskCall(name="add", args={"c": 1})

    with pytest.raises(TypeError):
        shop.publisher.enqueue_many([task.build_call(1), wrong])

    assert shop.submitter.sent == []


# --- by name


def test_a_call_by_name_is_checked_against_the_signature() -> None:
    shop = open_shop(fresh(name="add"))

    with pytest.raises(TaskNotRegistered):
        shop.publisher.enqueue_call(TaskCall(name="ad"))
    for args in ({}, {"a": "text"}, {"a": 1, "z": 1}):
        with pytest.raises(TypeError):
            shop.publisher.enqueue_call(TaskCall(name="add", args=args))


@pytest.mark.parametrize("args", [{"item": "tea"}, {"item": "tea", "count": 1}])
def test_a_record_may_be_given_as_its_map(args: dict[str, object]) -> None:
    def buy(order: Order) -> None: ...

    shop = open_shop(fresh(buy, name="buy"))

    shop.publisher.enqueue_call(TaskCall(name="buy", args=args))

    assert Order(**shop.last.content) == Order("tea", 1)
    with pytest.raises(PayloadError, match="args"):
        shop.publisher.enqueue_call(TaskCall(name="buy", args={"count": "x"}))


def test_a_rich_argument_may_be_an_object_or_its_wire_form() -> None:
    def at(when: datetime) -> None: ...

    task = fresh(at, name="at")
    shop = open_shop(task)
    when = datetime(2026, 1, 1, tzinfo=UTC)

    for call in (
        TaskCall(name="at", args={"when": when}),
        task.build_call(when),
    ):
        shop.publisher.enqueue_call(call)
        assert shop.last.content == {"when": "2026-01-01T00:00:00Z"}


def test_headers_and_meta_travel_beside_the_arguments() -> None:
    shop = open_shop(fresh(name="add"))

    shop.publisher.enqueue_call(
        TaskCall(name="add", args={"a": 1}, headers={"tenant": "t"}, meta={"k": [1]})
    )

    assert shop.last.head.kind == ARGS_HEADERS_META
    assert shop.last.content == [{"a": 1}, {"tenant": "t"}, {"k": [1]}]


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (TaskCall(name="add", args={"a": 1}, meta={"k": {1}}), r"meta\.k"),
        (TaskCall(name="add", args={"a": 1}, headers=NO_TEXT), r"headers\.h"),
    ],
)
def test_what_has_no_wire_form_names_its_path(call: TaskCall, path: str) -> None:
    shop = open_shop(fresh(name="add"))

    with pytest.raises(PayloadError, match=path):
        shop.publisher.enqueue_call(call)


def test_the_options_of_a_call_lie_between_definition_and_enqueue() -> None:
    shop = open_shop(fresh(name="add", priority=1, queue="a"))
    call = TaskCall(
        name="add",
        args={"a": 1},
        options={"priority": 5, "queue": "b"},
        enqueue_options=TaskEnqueueOptions(priority=9),
    )

    shop.publisher.enqueue_call(call)

    assert (shop.last.head.priority, shop.last.head.queue) == (9, "b")


def test_links_are_refused_until_they_work() -> None:
    task = fresh(name="add")
    shop = open_shop(task)
    options = TaskEnqueueOptions(link=[task.build_call(1)])
    call = TaskCall(name="add", args={"a": 1}, enqueue_options=options)

    with pytest.raises(SettingsError, match="link is not supported"):
        shop.publisher.enqueue_call(call)


# --- not connected


def test_before_the_start_every_way_in_says_what_to_do() -> None:
    task = fresh(name="add")
    publisher = Publisher(Registry())
    publisher.registry.add(task)
    task.attach(publisher)

    for enqueue in (
        lambda: task.enqueue(1),
        lambda: task.map([1]),
        lambda: publisher.enqueue_call(task.build_call(1)),
        lambda: asyncio.run(task.aenqueue(1)),
    ):
        with pytest.raises(AppNotStarted, match="with app:"):
            enqueue()
    assert not publisher.is_connected
