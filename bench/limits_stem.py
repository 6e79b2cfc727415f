"""
stem_actor with the cases as tasks, and the load beside them.

``python -m bench.limits_stem URL`` keeps the workers of that ring busy with tasks that
do nothing, until its standard input ends; then it prints how many, and how many a
second.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from bench import limit_cases
from bench.workload import add
from stem_actor import StemApp, SyncTask, TaskHandle

WORKERS = 2
BATCH = 64
WINDOW = 2048
PATIENCE_S = 30.0
#: Before it the load has not reached its height.
RAMP_S = 1.0
CLOSING_S = 10.0


class Limited:
    """
    An app whose tasks are the cases.

    Args:
        url: Of its ring; an anonymous one by default.
        workers: How many; 1 shows what becomes of the next task.

    Attributes:
        app: Not started.
        endure: See `bench.limit_cases.endure`.
        touch: See `bench.limit_cases.touch`.
        add: The task that does nothing.
    """

    def __init__(self, url: str = "ring://", workers: int = WORKERS) -> None:
        self.app = StemApp(broker=url, workers=workers)
        self.endure: SyncTask[[str, str, float], int] = self.app.task(name="endure")(
            limit_cases.endure
        )
        self.touch: SyncTask[[str], int] = self.app.task(name="touch")(
            limit_cases.touch
        )
        self.add: SyncTask[[int], int] = self.app.task(name="add")(add)


@contextmanager
def loaded(url: str) -> Iterator[list[str]]:
    """
    Keep the workers of a ring busy from another process.

    Yields:
        A list that holds, after the end, what the load says of itself.
    """
    said: list[str] = []
    load = subprocess.Popen(
        [sys.executable, "-m", "bench.limits_stem", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(RAMP_S)  # until the load is a steady one
        yield said
        said.append(load.communicate(timeout=CLOSING_S)[0].strip())
    finally:
        load.kill()
        load.wait()
    if load.returncode:
        raise RuntimeError("the load has broken; see above")


def keep_busy(url: str) -> str:
    """Enqueue and read results until the standard input ends; return how it went."""
    limited = Limited(url)
    began = time.monotonic()
    done = 0
    batches: deque[list[TaskHandle[int]]] = deque()
    while batches or not _is_over():
        if len(batches) < WINDOW // BATCH and not _is_over():
            batches.append(list(limited.add.map(range(BATCH))))
        else:
            done += sum(h.result(PATIENCE_S) > 0 for h in batches.popleft())
    per_s = done / (time.monotonic() - began)
    limited.app.close()
    return f"{done:,} tasks beside it, {per_s:,.0f} a second"


def _is_over() -> bool:
    """Whether the standard input has ended: it never says anything else."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


if __name__ == "__main__":
    print(keep_busy(sys.argv[1]), flush=True)
    os._exit(0)  # nothing is left to be ended in peace
