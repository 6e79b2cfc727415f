"""
The expectations. ``reveal_type`` lines end with what both checkers must print; lines
that end with ``# error`` must be refused by both. This module is checked, never run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, reveal_type

import stem_actor
from stem_actor import (
    NoArgsTaskDefinition,
    PayloadCodec,
    PayloadMap,
    ProgressSignal,
    Signature,
    Stem,
    StemApp,
    StemClient,
    TaskContext,
    TaskDefinition,
    TaskEnqueuer,
    TaskError,
    TaskHandle,
    TaskHandler,
    TaskResult,
    TaskResultCaller,
    TaskStatus,
    Worker,
    WorkerConfig,
    as_completed,
    chain,
    chord,
    group,
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
    enqueuers: list[TaskEnqueuer] = [app, context]
    callers: list[TaskResultCaller] = [app, context]
    reveal_type(invoiced.enqueue(enqueuers[0], Invoice("a")))  # TaskHandle[int]
    reveal_type(invoiced.wait_for(callers[0], "id"))  # TaskResult[int]
    app.register(SendInvoice())
    StemApp([SendInvoice(), invoiced, add])


@dataclass
class Invoice:
    id: str


@dataclass
class Receipt:
    number: int


def read_receipt(payload: dict[str, Any], version: int) -> Receipt:
    return Receipt(version)


money: PayloadCodec[int] = PayloadCodec(str, int)
invoiced = TaskDefinition.json("total", args_type=Invoice, result_type=int)
publish: TaskDefinition[Invoice, bool] = TaskDefinition.json("b", args_type=Invoice)
by_hand = TaskDefinition[Invoice, str]("c", lambda invoice: {"id": invoice.id})
ping = TaskDefinition.no_args("d", lambda stored: str(stored))


class SendInvoice(TaskHandler[Invoice, bool]):
    name = "send"

    async def call(self, context: TaskContext, args: Invoice) -> bool:
        return True


class CountInvoices(TaskHandler[Mapping[str, object], int]):
    definition = invoiced

    def call(self, context: TaskContext, args: Mapping[str, object]) -> int:
        return len(args)


class Mistaken(TaskHandler[Invoice, bool]):
    name = "mistaken"

    def call(self, context: TaskContext, args: Invoice) -> str:  # error
        return ""


def of_definitions() -> None:
    reveal_type(invoiced)  # TaskDefinition[Invoice, int]
    reveal_type(
        TaskDefinition.json(
            "e", args_type=Invoice, decode_result_versioned=read_receipt
        )
    )  # TaskDefinition[Invoice, Receipt]
    reveal_type(
        TaskDefinition.versioned_json(
            "f", version=2, args_type=Invoice, decode_result=len
        )
    )  # TaskDefinition[Invoice, int]
    reveal_type(TaskDefinition.codec("g", money, money))  # TaskDefinition[int, int]
    reveal_type(ping)  # NoArgsTaskDefinition[str]
    reveal_type(
        TaskDefinition.no_args_json("h", result_type=Receipt)
    )  # NoArgsTaskDefinition[Receipt]
    reveal_type(
        TaskDefinition.no_args_versioned_json(
            "i", version=1, decode_result=read_receipt
        )
    )  # NoArgsTaskDefinition[Receipt]
    reveal_type(add.definition)  # TaskDefinition[Mapping[str, object], int]
    reveal_type(invoiced.enqueue(app, Invoice("a")).result())  # int
    reveal_type(
        by_hand.enqueue_and_wait(app, Invoice("a"), timeout=1)
    )  # TaskResult[str]
    reveal_type(publish.build_call(Invoice("a"), headers={"a": "b"}))  # TaskCall
    reveal_type(publish.decode({}))  # bool
    reveal_type(ping.enqueue(app).wait().value)  # str | None


def of_waiting() -> None:
    reveal_type(app.wait_for_task("id"))  # TaskResult[object]
    reveal_type(app.wait_for_task("id", decode=int))  # TaskResult[int]
    reveal_type(app.wait_for_task("id", decode_json=Receipt))  # TaskResult[Receipt]
    reveal_type(
        app.wait_for_task("id", timeout=1, decode_versioned_json=read_receipt)
    )  # TaskResult[Receipt]
    reveal_type(app.enqueue_json("a", Invoice("a")))  # TaskHandle[object]
    reveal_type(app.enqueue_value("a", 3, codec=money))  # TaskHandle[object]
    reveal_type(app.enqueue_and_wait("a", timeout=3))  # TaskResult[object]


def of_readers(
    status: TaskStatus, error: TaskError, signal: ProgressSignal, args: PayloadMap
) -> None:
    reveal_type(status.payload_json(Receipt))  # Receipt | None
    reveal_type(status.payload_as(money))  # int | None
    reveal_type(status.payload_versioned_json(read_receipt))  # Receipt | None
    reveal_type(status.meta_json(Receipt))  # Receipt
    reveal_type(error.meta_as(money))  # int
    reveal_type(signal.data_value("a", int))  # int | None
    reveal_type(signal.data_json("a", Receipt))  # Receipt | None
    reveal_type(args.value("a"))  # object
    reveal_type(args.value("a", str))  # str | None
    reveal_type(args.value_or("a", 1.5))  # float
    reveal_type(args.required_value("a", Receipt))  # Receipt


def of_context_readers(context: TaskContext) -> None:
    reveal_type(context.args_json(Receipt))  # Receipt
    reveal_type(context.args_versioned_json(read_receipt))  # Receipt
    reveal_type(context.args_as(money))  # int
    reveal_type(context.spawn("a", {"b": 1}))  # TaskHandle[object]
    reveal_type(invoiced.enqueue(context, Invoice("a")))  # TaskHandle[int]


@app.task(version=2)
def versioned(item: str) -> int:
    return 1


@versioned.upgrade(from_version=1)
def upgraded(args: dict[str, Any]) -> dict[str, Any]:
    return args


def of_versions() -> None:
    reveal_type(versioned)  # SyncTask[(item: str), int]
    reveal_type(upgraded({}))  # dict[str, Any]


def of_roles(stem: Stem) -> None:
    reveal_type(stem.enqueue("a"))  # TaskHandle[object]
    reveal_type(invoiced.enqueue(stem, Invoice("a")))  # TaskHandle[int]
    reveal_type(StemClient.in_memory([add]))  # StemClient
    reveal_type(StemClient.create(broker="ring://a").create_app())  # StemApp
    reveal_type(Worker(stem, config=WorkerConfig(concurrency=3)).run())  # StopReport
    Worker(stem).shutdown("cold")  # error
    WorkerConfig(concurency=3)  # error
    Stem(workers="2")  # error


def refused_definitions(context: TaskContext) -> None:
    invoiced.enqueue(app, "a")  # error
    invoiced.enqueue(app)  # error
    invoiced.enqueue("app", Invoice("a"))  # error
    invoiced.enqueue(app, Invoice("a"), header={})  # error
    invoiced.enqueue(app, Invoice("a"), headers={"a": 1})  # error
    ping.enqueue(app, Invoice("a"))  # error
    TaskDefinition.json("a", result_type=int)  # error
    TaskDefinition.json("a", args_type=Invoice, result_typ=int)  # error
    TaskDefinition.versioned_json("a", args_type=Invoice, result_type=int)  # error
    TaskDefinition.no_args("a", default_options={"queu": "a"})  # error
    app.wait_for_task("id", decode=int, decode_json=int)  # error
    context.required_arg("a", 3)  # error
    SendInvoice().call(context, {})  # error
    _number: TaskHandle[str] = invoiced.enqueue(app, Invoice("a"))  # error
    _names: NoArgsTaskDefinition[int] = ping  # error
    versioned.upgrade(from_version="1")  # error
    versioned.upgrade(from_version=1)(len)  # error
