"""Class handlers and versioned tasks, run by the engine without processes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor import (
    PayloadMap,
    PayloadVersionError,
    SettingsError,
    TaskContext,
    TaskDefinition,
    TaskHandler,
    TaskMetadata,
    TaskOptions,
)
from stem_actor.engine.execute import aexecute, execute
from stem_actor.engine.report import Report
from stem_actor.model.version import VERSION_KEY
from stem_actor.payload.wire import pack_args, pack_value, unpack
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import ARGS, HANDED
from stem_actor.tasks.handing import pack_handed
from stem_actor.tasks.handler import task_of
from stem_actor.tasks.outcome import pack_success
from stem_actor.tasks.task import AsyncTask
from stem_actor.tasks.task_version import TaskVersion
from tests.unit.task_surface import (
    FakeRuntime,
    bare_delivery,
    error_of,
    fresh,
    open_shop,
)


@dataclass
class Invoice:
    id: str
    copies: int = 1


@dataclass
class Receipt:
    number: int


class Email(TaskHandler[Mapping[str, object], str]):
    name = "email.send"
    options = TaskOptions(max_retries=2, queue="email")
    metadata = TaskMetadata(description="Sends a mail")

    def call(self, context: TaskContext, args: Mapping[str, object]) -> str:
        assert isinstance(args, PayloadMap)
        return f"{args.value_or('to', 'anonymous')} {context.attempt}"


class Publish(TaskHandler[Invoice, Receipt]):
    name = "publish"

    async def call(self, context: TaskContext, args: Invoice) -> Receipt:
        return Receipt(len(args.id) * args.copies)


class Defined(TaskHandler[Invoice, Receipt]):
    definition = TaskDefinition.versioned_json(
        "defined",
        version=2,
        args_type=Invoice,
        decode_args=lambda it, version: Invoice(it["id"], version),
        decode_result_versioned=lambda it, version: Receipt(it["number"] + version),
        default_options=TaskOptions(queue="billing"),
        metadata=TaskMetadata(description="Publishes invoices downstream"),
    )

    def call(self, context: TaskContext, args: Invoice) -> Receipt:
        return Receipt(args.copies)


def run(task: Any, args: dict[str, Any]) -> Report:
    delivery = bare_delivery(pack_value(args))
    if isinstance(task, AsyncTask):
        return asyncio.run(aexecute(task, delivery, FakeRuntime()))
    return execute(task, delivery, FakeRuntime())


def result_of(report: Report) -> Any:
    assert report.kind == Kind.SUCCEEDED, unpack(report.payload)
    return unpack(report.payload)


def test_a_class_says_its_name_options_and_metadata() -> None:
    task = task_of(Email())

    assert (task.name, task.options) == ("email.send", Email.options)
    assert task.metadata.description == "Sends a mail"
    assert result_of(run(task, {"to": "a@b.c"})) == "a@b.c 0"
    assert result_of(run(task, {})) == "anonymous 0"


def test_a_dto_parameter_gets_the_arguments_as_one() -> None:
    task = task_of(Publish())

    assert isinstance(task, AsyncTask)
    assert result_of(run(task, {"id": "abc", "copies": 2})) == {"number": 6}
    error = error_of(run(task, {"id": 3}))
    assert error.meta["reason"] == "bad-arguments"
    assert error.message == "args.id: expected `str`, got `int`"


def test_a_definition_gives_its_handler_name_options_and_both_versions() -> None:
    task = task_of(Defined())

    assert (task.name, task.options.queue) == ("defined", "billing")
    assert task.metadata.description == "Publishes invoices downstream"
    stored = result_of(run(task, {VERSION_KEY: 1, "id": "a"}))
    assert list(stored.items()) == [(VERSION_KEY, 2), ("number", 1)]
    assert Defined.definition.decode(stored) == Receipt(3)


def test_a_class_handler_is_enqueued_by_its_map_or_its_dto() -> None:
    task = task_of(Publish())
    shop = open_shop(task)

    task.enqueue(Invoice("a"))
    task.enqueue(id="b", copies=3)
    call: Any = task.build_call({"id": "c"})
    shop.publisher.enqueue_call(call)

    sent = [each.content for each in shop.submitter.sent]
    assert sent == [{"id": "a", "copies": 1}, {"id": "b", "copies": 3}, {"id": "c"}]


def test_a_class_that_cannot_work_is_refused_by_file_and_line() -> None:
    class Nameless(TaskHandler[Invoice, None]):
        def call(self, context: TaskContext, args: Invoice) -> None: ...

    class Odd(TaskHandler[Any, None]):
        name = "odd"

        def call(self, context: TaskContext) -> None: ...  # type: ignore[override]

    class Wireless(TaskHandler[FakeRuntime, None]):
        name = "wireless"

        def call(self, context: TaskContext, args: FakeRuntime) -> None: ...

    place = rf"{__file__}:\d+: "
    with pytest.raises(SettingsError, match=place + r"Nameless has no name; write"):
        task_of(Nameless())
    with pytest.raises(SettingsError, match=place + r"task odd: call takes a context"):
        task_of(Odd())
    with pytest.raises(SettingsError, match=place + r"task wireless: the annotation"):
        task_of(Wireless())


# --- versions


def shop_of_versions() -> Any:
    def order(sku: str, count: int, unit: str) -> str:
        return f"{count} {unit} {sku}"

    task = fresh(order, name="order", version=3)

    @task.upgrade(from_version=1)
    def add_count(args: dict[str, Any]) -> dict[str, Any]:
        return {"sku": args["item"], "count": 1}

    @task.upgrade(from_version=2)
    def add_unit(args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "unit": "pcs"}

    return task


def test_calls_of_a_versioned_task_are_marked_first() -> None:
    task = shop_of_versions()
    shop = open_shop(task)

    task.enqueue("x", 2, unit="kg")
    shop.publisher.enqueue_call(task.build_call("x", 2, unit="kg"))

    for sent in shop.submitter.sent:
        assert list(sent.content.items()) == [
            (VERSION_KEY, 3), ("sku", "x"), ("count", 2), ("unit", "kg"),
        ]  # fmt: skip


def test_a_part_of_a_canvas_is_of_the_version_of_its_task() -> None:
    def take(invoice: Invoice) -> str:
        return invoice.id

    order, of_record = shop_of_versions(), fresh(take, name="take", version=2)
    for part in (order.partial(2, unit="kg"), order.with_options().partial(2, "kg")):
        step = part.tree.call
        body = pack_handed(
            ARGS, pack_args(step.call.args), step.into, pack_success("x")
        )
        assert result_of(run_handed(order, body)) == "2 kg x"
    step = of_record.partial().tree.call
    body = pack_handed(
        ARGS, pack_args(step.call.args), step.into, pack_success({"id": "x"})
    )

    assert result_of(run_handed(of_record, body)) == "x"


def run_handed(task: Any, body: bytes) -> Report:
    delivery = bare_delivery(body)
    delivery.kind = HANDED
    return execute(task, delivery, FakeRuntime())


@pytest.mark.parametrize(
    ("args", "result"),
    [
        ({VERSION_KEY: 3, "sku": "x", "count": 2, "unit": "kg"}, "2 kg x"),
        ({VERSION_KEY: 2, "sku": "x", "count": 2}, "2 pcs x"),
        ({VERSION_KEY: 1, "item": "x"}, "1 pcs x"),
        ({"item": "x"}, "1 pcs x"),
    ],
)
def test_older_arguments_are_upgraded_step_by_step(
    args: dict[str, Any], result: str
) -> None:
    assert result_of(run(shop_of_versions(), args)) == result


def test_the_context_shows_upgraded_arguments_without_the_mark() -> None:
    def order(context: TaskContext, sku: str) -> object:
        return dict(context.args)

    task = fresh(order, name="order", version=2)
    task.upgrade(from_version=1)(lambda args: {"sku": args["item"]})

    assert result_of(run(task, {VERSION_KEY: 1, "item": "x"})) == {"sku": "x"}


@pytest.mark.parametrize("version", [4, 0, "9"])
def test_an_unknown_version_fails_for_good_and_names_the_known(version: object) -> None:
    report = run(shop_of_versions(), {VERSION_KEY: version, "item": "x"})

    error = error_of(report)
    assert error.type == PayloadVersionError.__name__
    assert error.meta["reason"] == "bad-arguments"
    assert f"__stemPayloadVersion {int(str(version))}; known are [1, 2, 3]" in (
        error.message
    )


def test_a_gap_in_the_upgrades_is_an_unknown_version() -> None:
    task = fresh(lambda sku: sku, name="order", version=3)
    task.upgrade(from_version=1)(dict)

    error = error_of(run(task, {VERSION_KEY: 1, "sku": "x"}))

    assert "known are [3]" in error.message


def test_an_upgrade_that_fails_says_so() -> None:
    task = fresh(lambda sku: sku, name="order", version=2)
    task.upgrade(from_version=1)(lambda args: {"sku": args["item"]})

    error = error_of(run(task, {VERSION_KEY: 1}))

    assert error.message.startswith(
        "the upgrade of order from version 1 failed: KeyError: 'item'"
    )


def test_an_upgrade_that_leads_nowhere_is_refused_with_its_place() -> None:
    def upgrade(args: dict[str, Any]) -> dict[str, Any]:
        return args

    task = fresh(name="order", version=2)
    place = rf"{__file__}:\d+: task order "

    with pytest.raises(SettingsError, match=place + "has no version; write @task"):
        fresh(name="order").upgrade(from_version=1)(upgrade)
    with pytest.raises(SettingsError, match=place + "is of version 2: .* from 2"):
        task.upgrade(from_version=2)(upgrade)
    task.upgrade(from_version=1)(upgrade)
    with pytest.raises(SettingsError, match="upgrade from version 1 already"):
        task.upgrade(from_version=1)(upgrade)
    with pytest.raises(SettingsError, match="task order: version must be an int abo"):
        fresh(name="order", version=0)


@given(st.integers(1, 12), st.data())
def test_any_chain_ends_at_the_version_of_the_task(number: int, data: Any) -> None:
    steps = data.draw(st.sets(st.integers(1, 11)).map(lambda it: it & {*range(number)}))
    start = data.draw(st.integers(1, number))
    version = TaskVersion("t", number)
    for step in steps:
        version.add(step, lambda args, step=step: {"at": [*args["at"], step]})
    path = list(range(start, number))
    marked = {VERSION_KEY: start, "at": []}

    if set(path) <= set(steps):
        assert version.upgraded(marked) == {"at": path}
    else:
        with pytest.raises(PayloadVersionError) as caught:
            version.upgraded(marked)
        assert caught.value.known == version.known
        assert start not in version.known
