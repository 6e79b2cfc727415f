"""stem_actor as a side: a module-level app, as a program would have it."""

from __future__ import annotations

import os
from collections import deque

from bench import processes, workload
from stem_actor import StemApp, Task, TaskHandle

WORKERS = 2
BATCH = 256
WINDOW = 4096
PATIENCE_S = 30.0

app = StemApp(workers=WORKERS)


@app.task
def add(a: int) -> int:
    """Return *a* plus one."""
    return workload.add(a)


class StemSide:
    """
    The app of this module, started.

    Args:
        task: One of its tasks, that does what `add` does.
    """

    def __init__(self, task: Task[[int], int] = add) -> None:
        self._task = task

    def lives(self, count: int) -> int:
        """Return the sum of results, every one read from its handle."""
        total = sent = 0
        batches: deque[list[TaskHandle[int]]] = deque()
        while sent < count or batches:
            if sent < count and len(batches) < WINDOW // BATCH:
                upto = min(sent + BATCH, count)
                batches.append(list(self._task.map(range(sent, upto))))
                sent = upto
            else:
                handles = batches.popleft()
                total += sum(handle.result(PATIENCE_S) for handle in handles)
        return total

    def round_trip(self, number: int) -> int:
        """Return the result of one task, waited for by a spinning waiter."""
        return self._task.enqueue(number).result(PATIENCE_S)

    async def awaited(self, number: int) -> int:
        """Return the result of one task by `await`."""
        return await self._task.enqueue(number)

    def moved(self) -> tuple[int, int]:
        """Return how many records the supervisor has moved, in how many calls of C."""
        stats = app.stats()
        records = stats["admitted"] + stats["finished"] + stats["replies"]
        return records, stats["crossings"]

    def roles(self) -> dict[str, list[int]]:
        """Return role → pids of the tree."""
        return processes.by_role(os.getpid())
