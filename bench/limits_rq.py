"""RQ with one worker, which forks a work horse for each job."""

from __future__ import annotations

import time
from typing import Any

from redis import Redis
from rq import Queue, Worker
from rq.results import Result

from bench import limit_cases, limits_sides
from bench.limits_sides import SOFT_S, LimitedSide, Ticket, broker_url

DATABASE = 2
LOOK_EVERY_S = 0.01

connection = Redis.from_url(broker_url(DATABASE))
queue = Queue("bench", connection=connection)


def work() -> None:
    """Be the worker."""
    Worker([queue], connection=connection).work(logging_level="ERROR")


def open_side() -> LimitedSide:
    """Start the worker on an empty database."""
    connection.flushdb()
    worker = limits_sides.Worker(__name__)

    def endure(case: str, fifo: str, span_s: float) -> Ticket:
        args = (case, fifo, span_s)
        job = queue.enqueue_call(limit_cases.endure, args, timeout=int(SOFT_S))
        return _ticket(job)

    def touch(fifo: str) -> Ticket:
        return _ticket(queue.enqueue_call(limit_cases.touch, (fifo,)))

    return LimitedSide(endure, touch, soft_s=SOFT_S, process=worker)


def _ticket(job: Any) -> Ticket:
    def error(timeout_s: float) -> str | None:
        deadline = time.monotonic() + timeout_s
        while (result := job.latest_result()) is None:
            if time.monotonic() > deadline:
                return None
            time.sleep(LOOK_EVERY_S)  # its results can only be asked for
        if result.type == Result.Type.SUCCESSFUL:
            return ""
        last = (result.exc_string or "").strip().splitlines()[-1:]
        told = last[0] if last else ""
        # A horse that was killed leaves a sentence, an exception its name first.
        name = told.partition(":")[0].rpartition(".")[2]
        return f"failed job ({name if name.isidentifier() else told[:40]})"

    return error
