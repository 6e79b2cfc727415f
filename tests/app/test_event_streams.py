"""Who is told of events: listeners and streams, slow ones, late ones, others'."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict
from functools import partial
from typing import Any

import pytest

from stem_actor import (
    Event,
    EventsDropped,
    StemApp,
    TaskCancelled,
    TaskEvent,
    TaskFailed,
    TaskRunEnded,
    TaskStarted,
    TaskSucceeded,
    WorkerReady,
    WorkerStopping,
)
from stem_actor.errors import AppNotStarted, RingError
from tests.app.conftest import Maker
from tests.app.killing import kill_owner
from tests.app.told import LIFE, TIMEOUT_S, add_talkers, next_one, of_type, types, up_to
from tests.app.until import until


@pytest.fixture
def app(make_app: Maker) -> StemApp:
    """An app, not started, with two workers."""
    return add_talkers(make_app())


def heard_all(seen: dict[str, list[Event]], count: int) -> bool:
    return sum(map(len, seen.values())) == count


def is_heard(app: StemApp) -> bool:
    """Whether the supervisor tells the listeners of *app* what they ask for."""
    subscription = app._listeners._subscription
    return subscription is not None and subscription.ready.is_set()


def test_only_the_task_and_the_types_that_were_asked_for_are_told(
    app: StemApp,
) -> None:
    with app:
        handle = app.enqueue("add", {"a": 1}, not_before=0.5)
        with app.events(task_id=handle.id, types=[TaskStarted]) as stream:
            for _ in range(20):
                app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
            handle.result(TIMEOUT_S)
            app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
            seen = [next_one(stream), stream.get(0.2)]

    assert [getattr(it, "task_id", None) for it in seen] == [handle.id, None]
    assert type(seen[0]) is TaskStarted


def test_ten_thousand_tasks_are_told_to_a_listener_once_each_and_in_order(
    app: StemApp,
) -> None:
    count, seen = 10_000, defaultdict[str, list[Event]](list)
    dropped: list[Event] = []

    @app.on(TaskEvent)
    def note(event: TaskEvent) -> None:
        seen[event.task_id].append(event)

    app.on(EventsDropped)(dropped.append)
    with app:
        task = app.registry.get("add")
        ids: list[str] = []
        for _ in range(count // 500):
            handles = app.enqueue_many([task.build_call(n, 1) for n in range(500)])
            ids += [handle.id for handle in handles]
            for handle in handles:
                handle.result(TIMEOUT_S)
            until(partial(heard_all, seen, 4 * len(ids)))

    assert dropped == []
    assert Counter(tuple(types(it)) for it in seen.values()) == {LIFE: count}
    assert set(seen) == set(ids)


def test_who_does_not_read_loses_the_oldest_counted_and_blocks_nobody(
    make_app: Maker,
) -> None:
    count, wanted = 6_000, [TaskEvent, EventsDropped]
    app = make_app(slots=8192, arena_bytes=16 << 20)
    with app, app.events(types=wanted) as idle, app.events(types=wanted) as busy:
        read: list[Event] = []
        task = app.registry.get("add")
        for _ in range(count // 500):
            handles = app.enqueue_many([task.build_call(n, 1) for n in range(500)])
            for handle in handles:
                handle.result(TIMEOUT_S)
            read += [next_one(busy) for _ in range(4 * 500)]
        last = handles[-1].id
        kept = [next_one(idle)]
        lost = 0
        while lost + len(of_type(kept, TaskEvent)) < 4 * count:
            kept.append(next_one(idle))
            lost = sum(it.count or 0 for it in of_type(kept, EventsDropped))

    assert of_type(read, EventsDropped) == []
    assert busy.dropped == 0
    assert idle.dropped == lost > 0
    assert len(of_type(kept, TaskEvent)) >= 10_000
    assert any(it.task_id == last for it in of_type(kept, TaskRunEnded))


def test_a_subscription_renews_itself_after_the_supervisor_was_killed(
    app: StemApp,
) -> None:
    heard: list[TaskSucceeded] = []
    app.on(TaskSucceeded)(heard.append)
    with app, app.events() as stream:
        app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
        up_to(stream, TaskRunEnded)
        kill_owner(app.directory)
        gap = up_to(stream, EventsDropped)[-1]
        until(partial(is_heard, app))
        after = app.enqueue("add", {"a": 2})
        after.result(TIMEOUT_S)
        seen = of_type(up_to(stream, TaskRunEnded), TaskEvent)
        until(lambda: len(heard) == 2)

    assert isinstance(gap, EventsDropped)
    assert gap.count is None
    assert (stream.gaps, stream.dropped) == (1, 0)
    assert types(seen) == list(LIFE)
    assert {it.task_id for it in seen} == {after.id}
    assert heard[1].task_id == after.id


def test_a_listener_that_fails_is_logged_and_harms_no_other(
    app: StemApp, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[TaskEvent] = []

    @app.on(TaskStarted)
    def broken(event: TaskStarted) -> None:
        raise SystemExit(3)

    app.on(TaskStarted)(heard.append)
    with app:
        for _ in range(2):
            app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
        until(lambda: len(heard) == 2)

    [first, _] = [it for it in caplog.records if "broken" in it.getMessage()]
    assert first.exc_info is not None
    assert first.exc_info[0] is SystemExit


def test_a_listener_that_never_returns_is_named_and_holds_up_no_stop(
    app: StemApp, caplog: pytest.LogCaptureFixture
) -> None:
    is_called, may_return = threading.Event(), threading.Event()

    @app.on(TaskStarted)
    def hung(event: TaskStarted) -> None:
        is_called.set()
        may_return.wait()

    app.start()
    app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
    assert is_called.wait(TIMEOUT_S)
    thread = app._listeners._thread
    began = time.monotonic()

    app.stop()

    took_s = time.monotonic() - began
    may_return.set()
    assert thread is not None
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()
    assert took_s < 4
    assert any("hung" in it.getMessage() for it in caplog.records)


def test_before_the_start_a_listener_is_only_remembered(app: StemApp) -> None:
    before = threading.active_count()
    inside = {"kept": "by the fork"}  # a closure: only a fork brings it to a worker
    app.on(TaskSucceeded)(lambda event: None)

    @app.task(name="closure")
    def closure() -> str:
        return inside["kept"]

    with_listener = threading.active_count()
    with app:
        result = closure.enqueue().result(TIMEOUT_S)
        running = threading.active_count()
    after = threading.active_count()

    assert result == "by the fork"
    assert (with_listener, running, after) == (before, before + 1, before)


def test_a_listener_that_comes_later_hears_what_comes_after_it(app: StemApp) -> None:
    started: list[TaskEvent] = []
    ended: list[TaskEvent] = []
    with app:
        app.on(TaskStarted)(started.append)
        app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
        until(lambda: started)
        app.on(TaskRunEnded)(ended.append)
        handle = app.enqueue("add", {"a": 1})
        handle.result(TIMEOUT_S)
        until(lambda: ended and len(started) == 2)

    assert [it.task_id for it in ended] == [handle.id]


def test_a_coroutine_function_is_no_listener(app: StemApp) -> None:
    async def listen(event: Event) -> None: ...

    with pytest.raises(TypeError, match="events_async"):
        app.on(Event)(listen)


def test_what_is_no_kind_of_event_is_refused(app: StemApp) -> None:
    kind: Any = ValueError
    with pytest.raises(TypeError, match="class of events"):
        app.on(kind)


def test_a_stop_ends_streams_after_their_last_event(app: StemApp) -> None:
    heard: list[Event] = []
    app.on(TaskCancelled)(heard.append)
    seen: list[Event] = []
    with app:
        app.enqueue("add", {"a": 1}).result(TIMEOUT_S)  # a worker is there to stop
        stream = app.events(types=[TaskEvent, WorkerStopping])
        waiting = threading.Thread(target=lambda: seen.extend(stream))
        waiting.start()
        handle = app.enqueue("add", {"a": 1}, not_before=600)
        until(lambda: seen)
        report = app.stop()
    waiting.join(TIMEOUT_S)

    assert not waiting.is_alive()
    assert report.cancelled == 1
    for events in (seen, heard):
        [cancelled] = of_type(events, TaskCancelled)
        assert (cancelled.task_id, cancelled.reason) == (handle.id, "stopped")
    assert of_type(seen, WorkerStopping)
    assert next(stream, None) is None


def test_a_stream_is_closed_by_another_thread_while_one_waits(app: StemApp) -> None:
    with app:
        stream = app.events(types=[TaskFailed])
        seen: list[Event] = []
        waiting = threading.Thread(target=lambda: seen.extend(stream))
        waiting.start()
        stream.close()
        waiting.join(TIMEOUT_S)

        assert not waiting.is_alive()
        assert seen == []


def test_without_a_ring_there_is_nothing_to_listen_to(app: StemApp) -> None:
    with pytest.raises(AppNotStarted):
        app.events()
    with pytest.raises(AppNotStarted):
        app.events_async()


def test_a_child_of_the_host_cannot_take_its_events(app: StemApp) -> None:
    with app, app.events() as stream:
        child = os.fork()
        if child == 0:
            try:
                stream.get(0)
            except RingError:
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        app.enqueue("add", {"a": 1}).result(TIMEOUT_S)
        seen = of_type(up_to(stream, TaskRunEnded), TaskEvent)

    assert status == 0
    assert types(seen) == list(LIFE)


def test_a_ring_that_another_app_runs_is_listened_to_as_well(make_app: Maker) -> None:
    runner = make_app(broker="ring://shop")
    other = make_app(broker="ring://shop")
    heard: list[TaskSucceeded] = []
    other.on(TaskSucceeded)(heard.append)
    with runner, other.events(types=[WorkerReady, TaskEvent]) as stream:
        alone = threading.active_count()
        handle = other.enqueue("add", {"a": 1})
        handle.result(TIMEOUT_S)
        seen = of_type(up_to(stream, TaskRunEnded), TaskEvent)
        until(lambda: heard)
        other.close()
        rest = list(stream)

    assert types(seen) == list(LIFE)
    assert [it.task_id for it in heard] == [handle.id]
    assert of_type(rest, TaskEvent) == []
    assert threading.active_count() == alone
