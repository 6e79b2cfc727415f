"""The expectations of definitions, readers and roles; see ``surface.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, reveal_type

from stem_actor import (
    NoArgsTaskDefinition,
    PayloadCodec,
    PayloadMap,
    ProgressSignal,
    Stem,
    StemApp,
    StemClient,
    TaskContext,
    TaskDefinition,
    TaskEnqueuer,
    TaskError,
    TaskHandle,
    TaskHandler,
    TaskResultCaller,
    TaskStatus,
    Worker,
    WorkerConfig,
)

app = StemApp(workers=2)


@app.task
def add(a: int, b: int = 2) -> int:
    return a + b


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


def accepted(context: TaskContext) -> None:
    enqueuers: list[TaskEnqueuer] = [app, context]
    callers: list[TaskResultCaller] = [app, context]
    reveal_type(invoiced.enqueue(enqueuers[0], Invoice("a")))  # TaskHandle[int]
    reveal_type(invoiced.wait_for(callers[0], "id"))  # TaskResult[int]
    app.register(SendInvoice())
    StemApp([SendInvoice(), invoiced, add])
