"""Celery's prefork pool with one child, and both of its limits."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.exceptions import TimeoutError as NotYet

from bench import limit_cases
from bench.limits_sides import (
    HARD_S,
    SOFT_S,
    LimitedSide,
    Ticket,
    Worker,
    broker_url,
)

DATABASE = 1

app = Celery("bench", broker=broker_url(DATABASE), backend=broker_url(DATABASE))
app.conf.broker_connection_retry_on_startup = True
endure: Any = app.task(name="endure", soft_time_limit=SOFT_S, time_limit=HARD_S)(
    limit_cases.endure
)
touch: Any = app.task(name="touch")(limit_cases.touch)


def work() -> None:
    """Be the worker."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["worker", "-P", "prefork", "-c", "1", "-l", "ERROR", *quiet])


def open_side() -> LimitedSide:
    """Start the worker on an empty database."""
    app.connection_for_write().default_channel.client.flushdb()
    worker = Worker(__name__)
    return LimitedSide(
        lambda *args: _ticket(endure.delay(*args)),
        lambda fifo: _ticket(touch.delay(fifo)),
        SOFT_S,
        HARD_S,
        worker,
    )


def _ticket(result: Any) -> Ticket:
    def error(timeout_s: float) -> str | None:
        try:
            result.get(timeout_s)
        except NotYet:
            return None
        except Exception as found:
            return type(found).__name__
        return ""

    return error
