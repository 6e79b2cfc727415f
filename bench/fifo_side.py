"""faster-fifo with workers made by hand: what its transport can do, with no pool."""

from __future__ import annotations

import multiprocessing
from multiprocessing.process import BaseProcess
from queue import Empty
from typing import Any

import faster_fifo

from bench.workload import add

WORKERS = 2
WINDOW = 4096
BATCH = 64
PATIENCE_S = 10.0
_BYTES = 1 << 22


def _work(tasks: Any, results: Any) -> None:
    while True:
        try:
            calls = tasks.get_many(max_messages_to_get=BATCH, timeout=PATIENCE_S)
        except Empty:
            continue
        if None in calls:
            return
        results.put_many([add(number) for number in calls], timeout=PATIENCE_S)


class FifoSide:
    """Two queues, one each way, shared by all workers; a context manager."""

    def __init__(self) -> None:
        self._tasks = faster_fifo.Queue(max_size_bytes=_BYTES)
        self._results = faster_fifo.Queue(max_size_bytes=_BYTES)
        self._workers: list[BaseProcess] = []

    def __enter__(self) -> FifoSide:
        """Start the workers; they end with this process."""
        for _ in range(WORKERS):
            arguments = (self._tasks, self._results)
            worker = multiprocessing.Process(target=_work, args=arguments, daemon=True)
            worker.start()
            self._workers.append(worker)
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            self._tasks.put(None, timeout=PATIENCE_S)
            worker.join(1.0)
        for worker in self._workers:
            worker.kill()
            worker.join()

    def lives(self, count: int) -> int:
        """Return the sum of results; their order is lost, as the queue loses it."""
        sent = received = total = 0
        while received < count:
            room = min(BATCH, count - sent, WINDOW - (sent - received))
            if room > 0:
                self._tasks.put_many(list(range(sent, sent + room)), timeout=PATIENCE_S)
                sent += room
            block = sent == count or sent - received >= WINDOW
            try:
                results = self._results.get_many(
                    block=block, timeout=PATIENCE_S, max_messages_to_get=BATCH
                )
            except Empty:
                if block:
                    raise
                continue
            received += len(results)
            total += sum(results)
        return total

    def round_trip(self, number: int) -> int:
        """Return the result of one call, waited for."""
        self._tasks.put(number, timeout=PATIENCE_S)
        return int(self._results.get(timeout=PATIENCE_S))

    def roles(self) -> dict[str, list[int]]:
        """Return nothing: CPU is not told apart by role here."""
        return {}
