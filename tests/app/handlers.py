"""The handlers of the definitions of ``contract``, and some of no definition."""

from __future__ import annotations

import dataclasses
from typing import Any

from stem_actor import (
    PayloadMap,
    StemApp,
    StemError,
    Task,
    TaskContext,
    TaskHandler,
    task,
)
from tests.app import contract
from tests.app.contract import (
    AttrsNote,
    DataNote,
    Invoice,
    ModelNote,
    Receipt,
    StructNote,
    TypedNote,
)


class PublishInvoice(TaskHandler[Invoice, Receipt]):
    definition = contract.PUBLISH

    def call(self, context: TaskContext, args: Invoice) -> Receipt:
        context.progress_json(50, args)
        return Receipt(args.id, args.cents)


class TotalInvoice(TaskHandler[PayloadMap, dict[str, int]]):
    name = "invoice.total"

    async def call(self, context: TaskContext, args: PayloadMap) -> dict[str, int]:
        invoice = context.args_versioned_json(
            lambda it, version: Invoice(it["id"], it["cents"] * version)
        )
        assert args.required_value("id", str) == invoice.id
        return {"__stemPayloadVersion": 2, "cents": invoice.cents}


@task(name="ping")
def ping(context: TaskContext) -> list[str]:
    return [context.queue, context.name]


@task(name="order", version=3, max_retries=2)
def order(context: TaskContext, sku: str, count: int, unit: str) -> str:
    return f"{count} {unit} {sku} {sorted(context.args)}"


@order.upgrade(from_version=1)
def add_count(args: dict[str, Any]) -> dict[str, Any]:
    return {"sku": args["item"], "count": 1}


@order.upgrade(from_version=2)
def add_unit(args: dict[str, Any]) -> dict[str, Any]:
    return {**args, "unit": "pcs"}


@task(name="child.by_definition")
def parent(context: TaskContext) -> str:
    return contract.PUBLISH.enqueue(context, Invoice("child", 7)).id


@task(name="waits")
def waits(context: TaskContext, other: str) -> str:
    try:
        context.wait_for_task(other, timeout=5)
    except StemError as error:
        return str(error)
    return "waited"


@task(name="note.data")
def of_data(note: DataNote) -> DataNote:
    return dataclasses.replace(note, text=note.text.upper())


@task(name="note.attrs")
def of_attrs(note: AttrsNote) -> AttrsNote:
    return AttrsNote(note.text.upper(), note.tags)


@task(name="note.struct")
async def of_struct(note: StructNote) -> StructNote:
    return StructNote(note.text.upper(), note.tags)


@task(name="note.typed")
def of_typed(note: TypedNote) -> TypedNote:
    return {"text": note["text"].upper(), "tags": note["tags"]}


@task(name="note.model")
def of_model(note: ModelNote) -> ModelNote:
    return note.model_copy(update={"text": note.text.upper()})


@task(name="note.many")
def of_many(notes: list[ModelNote], extra: dict[str, DataNote]) -> list[StructNote]:
    found = [*notes, *extra.values()]
    return [StructNote(note.text, note.tags) for note in found]


TASKS: tuple[Task[..., Any], ...] = (
    ping, order, parent, waits, of_data, of_attrs, of_struct, of_typed, of_model,
    of_many,
)  # fmt: skip


def add_handlers(app: StemApp) -> StemApp:
    """Register all of them with *app*."""
    for each in (PublishInvoice(), TotalInvoice(), *TASKS):
        app.register(each)
    return app
