"""
The sides of a comparison: the same function, run by different machinery.

Each runs `bench.workload.add` in two worker processes. Each is opened in a process of
its own (see `bench.remote`), so that no side inherits threads or forks of another.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any, Protocol

from bench.workload import add

WORKERS = 2
#: Tasks under way at once: well below the slots of stem_actor and the limit's rings.
WINDOW = 4096
PATIENCE_S = 30.0
#: What Pebble's tasks are limited to where they are; never reached.
LIMIT_S = 60.0


class Side(Protocol):
    """One machinery, open."""

    def lives(self, count: int) -> int:
        """Run ``add(0) … add(count - 1)``, each a task; return the sum of results."""
        ...

    def round_trip(self, number: int) -> int:
        """Run ``add(number)`` as a task, wait for it, return the result."""
        ...

    def roles(self) -> dict[str, list[int]]:
        """Return role → pids, where CPU is told apart by role; may be empty."""
        ...


class _Plain:
    """A side whose processes all look the same."""

    def roles(self) -> dict[str, list[int]]:
        return {}


class PoolSide(_Plain):
    """multiprocessing.Pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def lives(self, count: int) -> int:
        # A chunk of one: a chunk of many would be one task that calls often.
        return sum(self._pool.imap(add, range(count), chunksize=1))

    def round_trip(self, number: int) -> int:
        return int(self._pool.apply(add, (number,)))

    async def awaited(self, number: int) -> int:
        """Return the result by `await`, woken by the pool's own callback."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()

        def done(value: int) -> None:
            loop.call_soon_threadsafe(waiter.set_result, value)

        self._pool.apply_async(add, (number,), callback=done)
        return await waiter


class FutureSide(_Plain):
    """Anything that gives a future for a call."""

    def __init__(self, submit: Callable[[int], Future[int]]) -> None:
        self._submit = submit

    def lives(self, count: int) -> int:
        total = 0
        numbers = iter(range(count))
        under_way = deque(self._submit(n) for n in islice(numbers, WINDOW))
        while under_way:
            total += under_way.popleft().result(PATIENCE_S)
            under_way.extend(self._submit(n) for n in islice(numbers, 1))
        return total

    def round_trip(self, number: int) -> int:
        return self._submit(number).result(PATIENCE_S)


@contextmanager
def pool() -> Iterator[Side]:
    """multiprocessing.Pool."""
    with multiprocessing.Pool(WORKERS) as pool:
        yield PoolSide(pool)


@contextmanager
def executor() -> Iterator[Side]:
    """concurrent.futures.ProcessPoolExecutor."""
    with ProcessPoolExecutor(WORKERS) as workers:
        yield FutureSide(lambda n: workers.submit(add, n))


@contextmanager
def loky() -> Iterator[Side]:
    """loky's reusable executor."""
    from loky import get_reusable_executor

    workers: Executor = get_reusable_executor(max_workers=WORKERS)
    try:
        yield FutureSide(lambda n: workers.submit(add, n))
    finally:
        workers.shutdown()


@contextmanager
def pebble(timeout_s: float | None = None) -> Iterator[Side]:
    """Pebble's process pool, every task with a time limit unless that is None."""
    from pebble import ProcessPool

    with ProcessPool(max_workers=WORKERS) as workers:
        yield FutureSide(lambda n: workers.schedule(add, (n,), timeout=timeout_s))


@contextmanager
def faster_fifo() -> Iterator[Side]:
    """Two faster-fifo queues and workers made by hand: transport alone."""
    from bench.fifo_side import FifoSide

    with FifoSide() as side:
        yield side


@contextmanager
def limit(batch: int | None = None) -> Iterator[Side]:
    """The bare topology."""
    from bench.limit_topology import BATCH, Topology

    class LimitSide:
        def lives(self, count: int) -> int:
            return topology.lives(count, WINDOW)

        def round_trip(self, number: int) -> int:
            return topology.round_trip(number)

        def roles(self) -> dict[str, list[int]]:
            return topology.pids

    with Topology(batch or BATCH) as topology:
        yield LimitSide()


@contextmanager
def stem() -> Iterator[Side]:
    """stem_actor."""
    from bench import processes
    from bench.stem_side import StemSide, app

    with app:
        processes.settled(os.getpid(), WORKERS)
        yield StemSide()


SIDES: dict[str, Callable[[], AbstractContextManager[Side]]] = {
    "stem_actor": stem,
    "limit": limit,
    "limit, one by one": lambda: limit(1),
    "multiprocessing.Pool": pool,
    "ProcessPoolExecutor": executor,
    "loky": loky,
    "Pebble": pebble,
    "Pebble, with timeout": lambda: pebble(LIMIT_S),
    "faster-fifo": faster_fifo,
}
