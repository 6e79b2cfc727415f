"""Whether one asyncio task waits for another, whatever lies between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stem_actor.actor.worker.waiting import waiters_of

Task = asyncio.Task[Any]
Way = Callable[[Task], Awaitable[object]]


async def _plainly(task: Task) -> None:
    await task


async def _gathered(task: Task) -> None:
    await asyncio.gather(asyncio.sleep(60), task)


async def _shielded(task: Task) -> None:
    await asyncio.shield(task)


async def _in_time(task: Task) -> None:
    await asyncio.wait_for(task, 60)


async def _with_others(task: Task) -> None:
    await asyncio.wait([task, asyncio.ensure_future(asyncio.sleep(60))])


async def _through_another(task: Task) -> None:
    await asyncio.gather(asyncio.create_task(_in_time(task)))


async def _in_group(task: Task) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_plainly(task))


async def _by_event(task: Task) -> None:
    done = asyncio.Event()
    task.add_done_callback(lambda _: done.set())
    await done.wait()


async def _by_queue(task: Task) -> None:
    await asyncio.Queue[int]().get()


async def _not(task: Task) -> None:
    await asyncio.sleep(60)


async def _after_it_was_cancelled_there(task: Task) -> None:
    try:
        await asyncio.wait_for(asyncio.shield(task), 0)
    except TimeoutError:
        await asyncio.sleep(60)


async def look(way: Way) -> bool:
    task: Task = asyncio.create_task(asyncio.sleep(60))
    waiter: Task = asyncio.ensure_future(way(task))
    for _ in range(10):  # steps until everybody waits
        await asyncio.sleep(0)
    try:
        return waiter in waiters_of(task)
    finally:
        for it in asyncio.all_tasks() - {asyncio.current_task()}:
            it.cancel()


@pytest.mark.parametrize(
    "way",
    [
        _plainly,
        _gathered,
        _shielded,
        _in_time,
        _with_others,
        _through_another,
        _in_group,
    ],
)
def test_a_task_is_waited_for_through_whatever_asyncio_puts_between(way: Way) -> None:
    assert asyncio.run(look(way))


@pytest.mark.parametrize(
    "way", [_by_event, _by_queue, _not, _after_it_was_cancelled_there]
)
def test_what_only_serves_is_not_waited_for(way: Way) -> None:
    assert not asyncio.run(look(way))


def test_a_task_does_not_wait_for_its_waiter() -> None:
    async def main() -> bool:
        task: Task = asyncio.create_task(asyncio.sleep(60))
        waiter: Task = asyncio.create_task(_plainly(task))
        await asyncio.sleep(0)
        try:
            return task in waiters_of(waiter)
        finally:
            waiter.cancel()

    assert not asyncio.run(main())
