"""
The systems whose limits are compared: one worker each, the same tasks.

Each is opened in a process of its own (see `bench.limits_driver`), which ends what it
began by force: a system that has lost a worker may not be able to close itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass

from bench import limit_cases

US = "stem_actor"
SOFT_S, HARD_S = 1.0, 2.0
#: URL of the server that brokered sides use.
BROKER = "BENCH_LIMITS_BROKER"

Ticket = Callable[[float], "str | None"]
"""
Waits for a task, so many seconds at most.

Returns what its caller sees: the name of an error, nothing if the task has succeeded,
None if the caller knows nothing yet.
"""


def _nothing() -> None:
    """There is nothing that outlives the processes."""


@dataclass(frozen=True, slots=True)
class LimitedSide:
    """
    A system, open.

    Attributes:
        endure: Submits `limit_cases.endure` with the limits.
        touch: Submits `limit_cases.touch`.
        soft_s: Its limit that raises in the handler; None: it has none.
        hard_s: Its limit that kills; None: it has none.
        process: Its worker, where that is no child by fork.
        close: Ends what no kill of its processes would end.
    """

    endure: Callable[[str, str, float], Ticket]
    touch: Callable[[str], Ticket]
    soft_s: float | None = None
    hard_s: float | None = None
    process: Worker | None = None
    close: Callable[[], object] = _nothing

    @property
    def last_s(self) -> float:
        """Seconds after which it should have ended any task."""
        return max(self.soft_s or 0.0, self.hard_s or 0.0)


class Worker:
    """
    The worker process of a brokered system.

    Args:
        module: One that has a function ``work``.
    """

    def __init__(self, module: str) -> None:
        number = os.memfd_create("bench-limits-log")
        self._log = os.fdopen(number, "r")
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {module} import work; work()"],
            stdin=subprocess.DEVNULL,
            stdout=number,
            stderr=number,
        )

    @property
    def last_line(self) -> str:
        """What it said last, for the reason why a side is absent."""
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


def stem() -> LimitedSide:
    """stem_actor."""
    from bench.limits_stem import Limited
    from stem_actor import ResultTimeout, StemError, TaskFailedError, TaskHandle

    limited = Limited(workers=1)
    limited.app.start()
    task = limited.endure.with_options(soft_time_limit=SOFT_S, time_limit=HARD_S)

    def ticket(handle: TaskHandle[int]) -> Ticket:
        def error(timeout_s: float) -> str | None:
            try:
                handle.result(timeout_s)
            except ResultTimeout:
                return None
            except TaskFailedError as failure:
                name = type(failure).__name__
                inner = failure.error.type
                return name if inner == name else f"{name}({inner})"
            except StemError as failure:
                return type(failure).__name__
            return ""

        return error

    return LimitedSide(
        lambda *args: ticket(task.enqueue(*args)),
        lambda fifo: ticket(limited.touch.enqueue(fifo)),
        SOFT_S,
        HARD_S,
        close=limited.app.close,
    )


def pebble() -> LimitedSide:
    """Pebble's process pool: its one limit terminates, then kills."""
    from pebble import ProcessPool

    pool = ProcessPool(max_workers=1)

    def ticket(future: Future[int]) -> Ticket:
        def error(timeout_s: float) -> str | None:
            wait([future], timeout_s)
            if not future.done():
                return None
            found = future.exception(0)
            return "" if found is None else type(found).__name__

        return error

    return LimitedSide(
        lambda *args: ticket(
            pool.schedule(limit_cases.endure, args=args, timeout=SOFT_S)
        ),
        lambda fifo: ticket(pool.schedule(limit_cases.touch, args=(fifo,))),
        hard_s=SOFT_S,
    )


def mpire() -> LimitedSide:
    """mpire's worker pool: its one limit raises in the worker."""
    from mpire.pool import WorkerPool

    pool = WorkerPool(n_jobs=1)

    def submit(function: Callable[..., int], *args: object) -> Ticket:
        result = pool.apply_async(function, args, task_timeout=SOFT_S)

        def error(timeout_s: float) -> str | None:
            result.wait(timeout_s)
            if not result.ready():
                return None
            try:
                result.get(0)
            except Exception as found:
                return type(found).__name__
            return ""

        return error

    return LimitedSide(
        lambda *args: submit(limit_cases.endure, *args),
        lambda fifo: submit(limit_cases.touch, fifo),
        soft_s=SOFT_S,
    )


def celery() -> LimitedSide:
    """Celery's prefork pool: both limits."""
    from bench import limits_celery

    return limits_celery.open_side()


def rq() -> LimitedSide:
    """RQ: a work horse for each job, which interrupts itself by SIGALRM."""
    from bench import limits_rq

    return limits_rq.open_side()


def huey() -> LimitedSide:
    """Huey's process workers, which interrupt themselves by SIGALRM."""
    from bench import limits_huey

    return limits_huey.open_side()


def broker_url(database: int) -> str:
    """Return the URL of a database of the server that the bench has started."""
    return f"{os.environ[BROKER]}/{database}"


SIDES: dict[str, Callable[[], LimitedSide]] = {
    US: stem,
    "Celery": celery,
    "Pebble": pebble,
    "mpire": mpire,
    "RQ": rq,
    "Huey": huey,
}
