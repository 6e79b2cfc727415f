"""
The expectations. ``reveal_type`` lines end with what both checkers must print; lines
that end with ``# error`` must be refused by both. This module is checked, never run.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, reveal_type

import stem_actor
from stem_actor import StemApp, TaskContext, TaskHandle, TaskResult, as_completed

app = StemApp(workers=2)


@app.task
def add(a: int, b: int = 2) -> int:
    return a + b


@app.task(queue="email", max_retries=4, soft_time_limit=15, hard_time_limit=30)
def send(context: TaskContext, to: str, body: str = "") -> bool:
    return True


@app.task
def noted(context: TaskContext, note: str) -> None: ...


@app.task
async def fetch(url: str) -> str:
    return url


@app.task(priority=3)
async def fetch_with(context: TaskContext, url: str, *, tries: int = 1) -> bytes:
    return b""


@app.task(context=False)
def plain(context: str) -> list[int]:
    return []


@stem_actor.task
def later(x: float) -> dict[str, int]:
    return {}


def of_tasks() -> None:
    reveal_type(add)  # SyncTask[(a: int, b: int = ...), int]
    reveal_type(send)  # SyncTask[(to: str, body: str = ...), bool]
    reveal_type(noted)  # SyncTask[(note: str), None]
    reveal_type(fetch)  # AsyncTask[(url: str), str]
    reveal_type(fetch_with)  # AsyncTask[(url: str, *, tries: int = ...), bytes]
    reveal_type(plain)  # SyncTask[(context: str), list[int]]
    reveal_type(later)  # SyncTask[(x: float), dict[str, int]]
    reveal_type(add.name)  # str


def of_handles() -> None:
    reveal_type(add.enqueue(1))  # TaskHandle[int]
    reveal_type(send.enqueue("a", body="b"))  # TaskHandle[bool]
    reveal_type(fetch.enqueue("u"))  # TaskHandle[str]
    reveal_type(add.enqueue(1).result())  # int
    reveal_type(add.enqueue(1).result(timeout=5))  # int
    reveal_type(add.enqueue(1).wait())  # TaskResult[int]
    reveal_type(add.enqueue(1).wait().value)  # int | None
    reveal_type(add.enqueue(1).wait().value_or("x"))  # int | str
    reveal_type(add.enqueue_and_wait(1))  # TaskResult[int]
    reveal_type(add.map([1, 2]))  # list[TaskHandle[int]]
    reveal_type([*as_completed(add.map([1]))])  # list[TaskHandle[int]]
    reveal_type(add.build_call(1))  # TaskCall
    reveal_type(app.enqueue("add", {"a": 1}))  # TaskHandle[object]
    reveal_type(add.enqueue(1).progress)  # ProgressSignal | None


def of_results(result: TaskResult[int]) -> None:
    reveal_type(result.required_value())  # int
    reveal_type(result.is_failed)  # bool
    reveal_type(result.status)  # TaskStatus | None
    reveal_type(add.enqueue(1).status())  # TaskStatus | None
    reveal_type(add.enqueue(1).revoke(terminate=True))  # bool
    reveal_type(add.enqueue(1).id)  # str


def of_control() -> None:
    reveal_type(app.status("id"))  # TaskStatus | None
    reveal_type(app.workers())  # list[WorkerInfo]
    reveal_type(app.stop(deadline=5))  # StopReport
    reveal_type(app.queue("email"))  # QueueControl
    reveal_type(app.dead_letters())  # DeadLetters
    reveal_type(app.enqueue_many([add.build_call(1)]))  # list[TaskHandle[object]]
    reveal_type(StemApp([add, later]))  # StemApp


def of_options() -> None:
    reveal_type(
        send.with_options(priority=9)
    )  # BoundTask[(to: str, body: str = ...), bool]
    reveal_type(send.with_options(countdown=3).enqueue("a"))  # TaskHandle[bool]
    reveal_type(add.with_options(wait_timeout=5).enqueue_and_wait(1))  # TaskResult[int]


def of_plain_calls() -> None:
    reveal_type(add(1))  # int
    reveal_type(send("a"))  # bool
    reveal_type(later(1.5))  # dict[str, int]


async def of_async() -> None:
    reveal_type(await add.enqueue(1))  # int
    reveal_type(await add.aenqueue(1))  # TaskHandle[int]
    reveal_type(await fetch("u"))  # str
    reveal_type(await fetch.aenqueue_and_wait("u"))  # TaskResult[str]
    reveal_type(await add.enqueue(1).aresult(timeout=1))  # int
    async with app as started:
        reveal_type(started)  # StemApp


def refused() -> None:
    add.enqueue("1")  # error
    add.enqueue()  # error
    add.enqueue(1, c=3)  # error
    send.enqueue(1)  # error
    send.enqueue("a", "b", "c")  # error
    add.with_options(priorty=3)  # error
    add.with_options(priority="high")  # error
    add.with_options(priority=1).enqueue("1")  # error
    app.task(max_retry=3)  # error
    app.task(soft_limit="never")  # error
    plain.enqueue(1)  # error
    add("1")  # error
    StemApp(workers="2")  # error
    StemApp(worker=2)  # error
    StemApp(result_ttl="an hour")  # error
    app.worker_init(add)  # error
    add.enqueue(1).result(timeout="5")  # error
    add.enqueue(1).revoke(True)  # error
    add.map([1], 2)  # error
    _text: str = add.enqueue(1).result()  # error
    _unsure: int = add.enqueue(1).wait().value  # error
    _wrong: TaskHandle[str] = add.enqueue(1)  # error
    _worse: TaskResult[str] = add.enqueue_and_wait(1)  # error


def accepted(context: TaskContext) -> None:
    _general: TaskHandle[object] = add.enqueue(1)
    _awaited: Awaitable[int] = add.enqueue(1)
    _task: stem_actor.Task[..., Any] = fetch_with
    reveal_type(context.arg_or("a", 1))  # object
    reveal_type(context.required_arg("a", int))  # int
    reveal_type(TaskContext.current())  # TaskContext | None


@app.task(unique=True, unique_for=60, rate_limit="5/s", group_rate_limit="100/m")
def claimed(site: str) -> str:
    return site


reveal_type(claimed.enqueue("a"))  # TaskHandle[str]
reveal_type(claimed.with_options(unique=False).enqueue("a").result())  # str
app.task(unique="yes")  # error
app.task(rate_limit=5)  # error
claimed.with_options(unique_for="60")  # error
app.task(group_rate_limiter_failure_mode="open")  # error
