"""Large arguments are stowed once for each call of ``aenqueue``."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.task_surface import fresh, open_shop


def test_aenqueue_stows_its_arguments_once_for_all_its_tries() -> None:
    task = fresh()
    shop = open_shop(task, room=0)

    async def main() -> None:
        waiting = asyncio.create_task(task.aenqueue(2))
        while len(shop.submitter.refused) < 3:
            await asyncio.sleep(0)
        shop.submitter.room = 1
        await waiting

    asyncio.run(asyncio.wait_for(main(), 10))

    assert len(shop.submitter.stowed) == 1
    assert shop.submitter.discarded == []


def test_aenqueue_discards_what_it_stowed_when_it_is_cancelled() -> None:
    task = fresh()
    shop = open_shop(task, room=0)

    async def main() -> None:
        waiting = asyncio.create_task(task.aenqueue(2))
        while not shop.submitter.refused:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(asyncio.wait_for(main(), 10))

    assert shop.submitter.discarded == shop.submitter.stowed
    assert len(shop.submitter.stowed) == 1
