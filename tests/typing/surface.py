"""
The expectations. ``reveal_type`` lines end with what both checkers must print; lines
that end with ``# error`` must be refused by both. This module is checked, never run.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, reveal_type

import stem_actor
from stem_actor import (
    Base64PayloadEncoder,
    Signature,
    StemApp,
    TaskContext,
    TaskHandle,
    TaskMetadata,
    TaskPayloadEncoder,
    TaskPayloadEncoderRegistry,
    TaskResult,
    as_completed,
    chain,
    chord,
    group,
    pipe_encoders,
)

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


@app.task
def total(values: list[int]) -> str:
    return ""


@stem_actor.task
def later(x: float) -> dict[str, int]:
    return {}


@app.task(metadata=TaskMetadata(args_encoder=Base64PayloadEncoder()))
def encoded(context: TaskContext, text: str) -> str:
    return text


class Turner(TaskPayloadEncoder):
    def encode(self, value: object) -> object:
        return value

    def decode(self, stored: object) -> object:
        return stored


class Turned:
    """No subclass: what has the methods is an encoder."""

    id = "turned"

    def encode(self, value: object) -> object:
        return value

    def decode(self, stored: object) -> object:
        return stored


def of_encoders(registry: TaskPayloadEncoderRegistry) -> None:
    reveal_type(encoded)  # SyncTask[(text: str), str]
    reveal_type(encoded.metadata)  # TaskMetadata
    reveal_type(Turner().id)  # str
    reveal_type(Turner().encode(1))  # object
    reveal_type(pipe_encoders(Turner(), Turned()))  # TaskPayloadEncoder
    reveal_type(registry.resolve_args("turned"))  # PayloadEncoder
    reveal_type(
        StemApp(args_encoder=Turner(), additional_encoders=[Turned()])
    )  # StemApp
    StemApp(args_encoder=Turner)  # error
    StemApp(encoder_ids="loose")  # error
    TaskMetadata(result_encoder=5)  # error
    app.task(metadata={"tags": ["a"]})  # error


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


def of_canvas() -> None:
    reveal_type(add.s(1))  # Signature[int]
    reveal_type(add.si(1))  # Immutable[int]
    reveal_type(fetch.s("u"))  # Signature[str]
    reveal_type(add.partial(2))  # Partial[int]
    reveal_type(add.s(1) | add)  # Signature[int]
    reveal_type(fetch.s("u") | fetch)  # Signature[str]
    reveal_type(fetch.s("u") | send)  # Signature[bool]
    reveal_type(add.s(1) | add.partial(b=3) | noted.si("x"))  # Signature[None]
    reveal_type(group([add.s(1), add.s(2)]))  # Signature[list[int]]
    reveal_type(group([add, add]))  # Partial[list[int]]
    reveal_type(group([add.si(1)]))  # Immutable[list[int]]
    reveal_type(chord([add.s(1)], total))  # Signature[str]
    reveal_type(add.s(1) | group([add, add]) | total)  # Signature[str]
    reveal_type(chain([add.s(1), add]))  # Signature[Any]


def refused_on_a_canvas() -> None:
    add.s("1")  # error
    add.s()  # error
    fetch.s("u") | add  # error
    add.s(1) | add.s(2)  # error
    add.s(1) | fetch  # error
    chord([add.s(1)], fetch)  # error
    chord([fetch.s("u")], total)  # error
    _wrong: Signature[str] = add.s(1) | add  # error


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
    reveal_type(context.arg_or("a", 1))  # int
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
