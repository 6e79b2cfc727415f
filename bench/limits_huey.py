"""Huey with one process worker."""

from __future__ import annotations

import time
from typing import Any

from huey import RedisHuey
from huey.exceptions import ResultTimeout, TaskException

from bench import limit_cases
from bench.limits_sides import SOFT_S, LimitedSide, Ticket, Worker, broker_url

DATABASE = 3
LOOK_EVERY_S = 0.01

huey = RedisHuey("bench", url=broker_url(DATABASE))
endure: Any = huey.task(timeout=SOFT_S)(limit_cases.endure)
touch: Any = huey.task()(limit_cases.touch)


def work() -> None:
    """Be the consumer."""
    huey.create_consumer(workers=1, worker_type="process").run()


def open_side() -> LimitedSide:
    """Start the consumer on an empty database."""
    huey.storage.conn.flushdb()
    worker = Worker(__name__)
    return LimitedSide(
        lambda *args: _ticket(endure(*args)),
        lambda fifo: _ticket(touch(fifo)),
        soft_s=SOFT_S,
        process=worker,
    )


def _ticket(result: Any) -> Ticket:
    def error(timeout_s: float) -> str | None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if result.get() is not None:
                    return ""
            except ResultTimeout:
                return None
            except TaskException as found:
                inner = str(found).partition("(")[0]
                return f"{type(found).__name__}({inner})"
            time.sleep(LOOK_EVERY_S)  # its results can only be asked for
        return None

    return error
