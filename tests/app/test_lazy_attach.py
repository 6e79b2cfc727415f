"""The first use of a ring that others run: loops go on while nobody answers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stem_actor import StemApp
from stem_actor.errors import BrokerUnavailable
from tests.app.conftest import Maker

#: The longest that a loop may stand still; a blocking attach takes seconds.
GAP_S = 0.4
LATE_S = 1.0


@pytest.fixture
def host(make_app: Maker) -> Iterator[StemApp]:
    with make_app(broker="ring://lazy") as app:
        app.enqueue("add", {"a": 1}).result(timeout=20)
        yield app


@pytest.fixture
def guest(make_app: Maker, host: StemApp) -> Iterator[StemApp]:
    """An app that has not attached yet."""
    app = make_app(broker="ring://lazy")
    yield app
    app.close()


@contextmanager
def stopped(app: StemApp) -> Iterator[None]:
    owner = app.directory.owner() or 0
    os.kill(owner, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(owner, signal.SIGCONT)


async def longest_gap(until: asyncio.Future[object]) -> float:
    longest, last = 0.0, time.monotonic()
    while not until.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest


def test_aenqueue_ends_at_its_timeout_and_the_loop_goes_on(
    host: StemApp, guest: StemApp
) -> None:
    add = guest.registry.get("add").with_options(enqueue_timeout=1.0)

    async def main() -> tuple[float, float]:
        began = time.monotonic()
        trying = asyncio.ensure_future(add.aenqueue(1))
        gap = await longest_gap(trying)
        with pytest.raises(BrokerUnavailable, match="lives, and does not answer"):
            trying.result()
        return gap, time.monotonic() - began

    with stopped(host):
        gap, took = asyncio.run(main())

    assert gap < GAP_S
    assert 1.0 <= took < 1.0 + LATE_S


def test_aenqueue_goes_through_as_soon_as_there_is_an_answer(
    host: StemApp, guest: StemApp
) -> None:
    add = guest.registry.get("add").with_options(enqueue_timeout=30)

    async def main() -> tuple[int, float]:
        trying = asyncio.ensure_future(add.aenqueue(1, 2))
        with stopped(host):
            await asyncio.sleep(0.3)
            assert not trying.done()
        gap = await longest_gap(trying)
        return int(await trying.result()), gap

    value, gap = asyncio.run(main())

    assert value == 3
    assert gap < GAP_S
    assert guest.stats()["producers"] == 2  # one try, one ring


def test_many_coroutines_attach_once(host: StemApp, guest: StemApp) -> None:
    add = guest.registry.get("add")

    async def main() -> list[object]:
        handles = await asyncio.gather(*(add.aenqueue(n) for n in range(50)))
        return list(await asyncio.gather(*handles))

    assert asyncio.run(main()) == list(range(50))
    assert guest.stats()["producers"] == 2


def test_a_plain_enqueue_in_a_loop_holds_it_up_for_a_second_at_most(
    host: StemApp, guest: StemApp
) -> None:
    async def main() -> float:
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="lives, and does not answer"):
            guest.enqueue("add", {"a": 1})
        return time.monotonic() - began

    with stopped(host):
        took = asyncio.run(main())

    assert took < 1.0 + LATE_S
    assert guest.enqueue("add", {"a": 4}).result(timeout=20) == 4
