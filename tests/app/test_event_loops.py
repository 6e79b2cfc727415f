"""Events in event loops: asyncio's and uvloop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from stem_actor import Event, StemApp, TaskEvent, TaskFailed, TaskRunEnded
from stem_actor.errors import BrokerUnavailable
from tests.app.conftest import Maker
from tests.app.told import LIFE, TIMEOUT_S, add_talkers, types

Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine in a loop of one kind."""
    runner: Run = request.param
    return runner


@pytest.fixture
def app(make_app: Maker) -> StemApp:
    """An app, not started, with two workers."""
    return add_talkers(make_app())


async def follow(app: StemApp) -> tuple[list[Event], int]:
    """Listen to the life of one task; also tell how many threads there are."""
    seen: list[Event] = []
    async with app.events_async(types=[TaskEvent]) as stream:
        handle = await app.registry.get("add").aenqueue(1, 2)
        async for event in stream:
            seen.append(event)
            if isinstance(event, TaskRunEnded):
                break
        await handle
    return seen, threading.active_count()


def test_a_coroutine_follows_a_task_without_a_thread(app: StemApp, run: Run) -> None:
    with app:
        before = threading.active_count()
        seen, threads = run(follow(app))

    assert types(seen) == list(LIFE)
    assert threads == before


def test_the_loop_goes_on_while_one_waits(app: StemApp, run: Run) -> None:
    async def wait() -> int:
        turns = 0
        async with app.events_async(types=[TaskFailed]) as stream:
            waiting = asyncio.ensure_future(anext(stream))
            while turns < 50:
                await asyncio.sleep(0.001)
                turns += 1
            await stream.aclose()
            with pytest.raises(StopAsyncIteration):
                await waiting
        return turns

    with app:
        assert run(wait()) == 50


def test_a_wait_that_was_cancelled_can_be_taken_up_again(
    app: StemApp, run: Run
) -> None:
    async def wait() -> Event:
        async with app.events_async(types=[TaskRunEnded]) as stream:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.05)
            app.enqueue("add", {"a": 1})
            return await asyncio.wait_for(anext(stream), TIMEOUT_S)

    with app:
        assert type(run(wait())) is TaskRunEnded


def test_a_stop_ends_the_iteration(app: StemApp, run: Run) -> None:
    async def listen() -> list[Event]:
        async with app, app.events_async(types=[TaskEvent]) as stream:
            app.enqueue("add", {"a": 1}, not_before=600)
            seen = [await anext(stream)]
            stopping = asyncio.ensure_future(asyncio.to_thread(app.stop))
            seen += [event async for event in stream]
            await stopping
        return seen

    seen = run(listen())

    assert [it.signal for it in seen] == ["task-received", "task-revoked"]


def test_nobody_waits_for_ever_for_a_ring_that_nobody_runs(
    make_app: Maker, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stem_actor.observe.stream._READY_S", 0.2)
    app = make_app(broker="ring://nobody")

    async def listen() -> None:
        async with app.events_async():
            raise AssertionError("there is nobody to listen to")

    with pytest.raises(BrokerUnavailable, match="nobody"):
        run(listen())
    with pytest.raises(BrokerUnavailable, match="nobody"):
        app.events()
