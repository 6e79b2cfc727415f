"""Definitions: arguments encoded, results decoded, and enqueued without a handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from stem_actor import (
    Base64PayloadEncoder,
    DuplicateTask,
    InvalidOptions,
    PayloadCodec,
    PayloadError,
    PayloadVersionError,
    PayloadVersionRegistry,
    SettingsError,
    TaskCall,
    TaskDefinition,
    TaskEnqueueOptions,
    TaskMetadata,
    TaskNotRegistered,
    TaskOptions,
)
from stem_actor.engine.publish import Publisher
from stem_actor.model.version import VERSION_KEY
from stem_actor.payload.encoder import ARGS_ENCODER
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import ARGS_HEADERS_META
from stem_actor.tasks.outcome import pack_success
from stem_actor.tasks.registry import Registry
from tests.unit.task_surface import Shop, fresh, open_shop


@dataclass
class Invoice:
    id: str
    copies: int = 1


@dataclass
class Receipt:
    number: int


def read_receipt(payload: dict[str, Any], version: int) -> Receipt:
    return Receipt(payload["number"] * (10 if version == 1 else 1))


CODEC: PayloadCodec[Invoice] = PayloadCodec.map(
    lambda invoice: {"i": invoice.id}, lambda wire: Invoice(wire["i"])
)
RECEIPTS = PayloadVersionRegistry({1: lambda it: Receipt(it["number"])})
BASE: TaskDefinition[Invoice, int] = TaskDefinition(
    "base", lambda invoice: {"id": invoice.id}, lambda stored: stored + 1
)

#: Definition, what crosses the wire for Invoice("a"), a stored result, its value.
CASES: list[tuple[Any, dict[str, object], object, object]] = [
    (BASE, {"id": "a"}, 1, 2),
    (BASE, {"id": "a"}, None, None),
    (
        TaskDefinition[Invoice, object]("plain", lambda invoice: {"x": invoice}),
        {"x": {"id": "a", "copies": 1}},
        [1],
        [1],
    ),
    (TaskDefinition.codec("codec", CODEC, CODEC), {"i": "a"}, {"i": "b"}, Invoice("b")),
    (
        TaskDefinition.json("json", args_type=Invoice, result_type=Receipt),
        {"id": "a", "copies": 1},
        {"number": 3},
        Receipt(3),
    ),
    (
        TaskDefinition.json(
            "json.decoded", args_type=Invoice, decode_result=lambda it: Receipt(it)
        ),
        {"id": "a", "copies": 1},
        3,
        Receipt(3),
    ),
    (
        TaskDefinition.json(
            "json.versioned", args_type=Invoice, decode_result_versioned=read_receipt
        ),
        {"id": "a", "copies": 1},
        {VERSION_KEY: 2, "number": 3},
        Receipt(3),
    ),
    (
        TaskDefinition.json(
            "json.default",
            args_type=Invoice,
            decode_result_versioned=read_receipt,
            default_decode_version=2,
        ),
        {"id": "a", "copies": 1},
        {"number": 3},
        Receipt(3),
    ),
    (
        TaskDefinition.versioned_json(
            "versioned", version=3, args_type=Invoice, result_type=Receipt
        ),
        {VERSION_KEY: 3, "id": "a", "copies": 1},
        {"number": 3},
        Receipt(3),
    ),
    (
        TaskDefinition.versioned_map(
            "map",
            lambda invoice: {"i": invoice.id},
            version=2,
            decode_result_versioned=RECEIPTS,
        ),
        {VERSION_KEY: 2, "i": "a"},
        {VERSION_KEY: 1, "number": 3},
        Receipt(3),
    ),
]
NO_ARGS: list[tuple[Any, object, object]] = [
    (TaskDefinition.no_args("none", lambda it: Receipt(it)), 3, Receipt(3)),
    (TaskDefinition.no_args("plain"), {"number": 3}, {"number": 3}),
    (TaskDefinition.no_args_json("j", result_type=Receipt), {"number": 3}, Receipt(3)),
    (TaskDefinition.no_args_codec("c", CODEC), {"i": "b"}, Invoice("b")),
    (
        TaskDefinition.no_args_versioned_json(
            "v", version=2, decode_result=read_receipt
        ),
        {"number": 3},
        Receipt(3),
    ),
    (
        TaskDefinition.no_args_versioned_json(
            "v1", version=2, decode_result=read_receipt, default_decode_version=1
        ),
        {"number": 3},
        Receipt(30),
    ),
]


@pytest.mark.parametrize(("definition", "wire", "stored", "value"), CASES)
def test_a_definition_enqueues_what_its_constructor_says(
    definition: Any, wire: dict[str, object], stored: object, value: object
) -> None:
    shop = open_shop()

    handle = definition.enqueue(shop.publisher, Invoice("a"))
    shop.source.end(1, Kind.SUCCEEDED, pack_success(stored))

    assert shop.last.head.name == definition.name
    assert list(shop.last.content.items()) == list(wire.items()), "in this order"
    assert handle.result() == value
    assert definition.decode(stored) == value


@pytest.mark.parametrize(("definition", "stored", "value"), NO_ARGS)
def test_a_definition_without_arguments_takes_none(
    definition: Any, stored: object, value: object
) -> None:
    shop = open_shop()
    shop.source.outcomes[1] = (Kind.SUCCEEDED, pack_success(stored))

    result = definition.enqueue_and_wait(shop.publisher, timeout=3)

    assert shop.last.content == {}
    assert result.required_value() == value
    assert shop.source.asked == [("wait", 3 * 10**9)]


def test_a_wait_lasts_as_long_as_the_enqueue_options_say() -> None:
    shop = open_shop()
    options = TaskEnqueueOptions(wait_timeout=4)
    ping = TaskDefinition.no_args("ping")

    ping.enqueue_and_wait(shop.publisher, enqueue_options=options)
    ping.enqueue_and_wait(shop.publisher, enqueue_options=options, timeout=2)
    BASE.enqueue_and_wait(shop.publisher, Invoice("a"), enqueue_options=options)

    assert shop.source.asked == [("wait", n * 10**9) for n in (4, 2, 4)]


def test_a_result_that_does_not_fit_is_an_error_that_names_it() -> None:
    definition = TaskDefinition.json("j", args_type=Invoice, result_type=Receipt)

    with pytest.raises(PayloadError, match="result: object missing required field"):
        definition.decode({})
    with pytest.raises(PayloadError, match="result: expected `object`, got `null`"):
        definition.decode(None)


def test_arguments_that_are_no_map_are_refused() -> None:
    with pytest.raises(PayloadError, match="args is a list, which is no map"):
        TaskDefinition.json("j", args_type=list).build_call([1])  # type: ignore[misc]


def test_two_decoders_of_a_result_are_a_type_error() -> None:
    wrong: Any = {"result_type": int, "decode_result": int}

    with pytest.raises(TypeError, match="one decoder, not result_type and decode_resu"):
        TaskDefinition.json("j", args_type=Invoice, **wrong)
    with pytest.raises(TypeError, match="needs a versioned decoder"):
        TaskDefinition.json("j", args_type=Invoice, default_decode_version=2)


def test_a_call_carries_all_that_may_be_said() -> None:
    shop = open_shop()
    definition = TaskDefinition.json(
        "j", args_type=Invoice, result_type=bool, default_options={"queue": "billing"}
    )

    call = definition.build_call(
        Invoice("a"),
        headers={"tenant": "x"},
        meta={"k": 1},
        options=TaskOptions(priority=3),
        enqueue_options=TaskEnqueueOptions(queue="urgent"),
        not_before=3,
    )
    shop.publisher.enqueue_call(call)

    head = shop.last.head
    assert (head.kind, head.queue, head.priority) == (ARGS_HEADERS_META, "urgent", 3)
    assert shop.last.content[1:] == [{"tenant": "x"}, {"k": 1}]
    assert head.not_before_ns > 0


def test_default_options_are_those_of_the_definition() -> None:
    shop = open_shop()
    by_map = TaskDefinition.no_args("a", default_options={"queue": "x", "priority": 2})
    by_value = TaskDefinition.no_args("b", default_options=TaskOptions(max_retries=4))

    by_map.enqueue(shop.publisher)
    by_value.enqueue(shop.publisher)

    first, second = (sent.head for sent in shop.submitter.sent)
    assert (first.queue, first.priority, second.max_retries) == ("x", 2, 4)


def test_without_options_those_of_a_handler_stand_that_is_known_here() -> None:
    task = fresh(name="j", queue="handler", priority=5)
    shop = open_shop()
    definition = TaskDefinition.no_args("j")
    definition.enqueue(shop.publisher)
    shop.publisher.registry.add(task)
    task.attach(shop.publisher)

    definition.enqueue(shop.publisher)
    TaskDefinition.no_args("j", default_options={"queue": "own"}).enqueue(
        shop.publisher
    )

    queues = [sent.head.queue for sent in shop.submitter.sent]
    assert queues == ["default", "handler", "own"]


def test_calls_of_one_definition_cross_in_batches() -> None:
    shop = open_shop(fresh(name="add"))
    batches: list[int] = []
    submit = shop.submitter.submit_many

    def counting(head: bytes, bodies: Any, **kw: Any) -> Any:
        batches.append(len(bodies))
        return submit(head, bodies, **kw)

    shop.submitter.submit_many = counting  # type: ignore[method-assign]
    add = shop.publisher.registry.get("add")
    calls = [BASE.build_call(Invoice(str(n))) for n in range(5)]

    handles = shop.publisher.enqueue_many([*calls, add.build_call(1), calls[0]])

    assert batches == [5, 1, 1]
    assert len(handles) == 7
    assert shop.last.content == {"id": "0"}


def test_a_definition_that_cannot_work_is_refused_by_file_and_line() -> None:
    wrong: Any = {"queu": "x"}
    with pytest.raises(SettingsError, match=rf"{__file__}:\d+: task a b: its name"):
        TaskDefinition.no_args("a\nb")
    with pytest.raises(SettingsError, match=rf"{__file__}:\d+: task j: priority must"):
        TaskDefinition.no_args("j", default_options={"priority": 10})
    with pytest.raises(SettingsError, match="there is no option 'queu'; did you mean"):
        TaskDefinition.no_args("j", default_options=wrong)
    with pytest.raises(InvalidOptions):
        TaskDefinition.no_args("j", default_options=TaskOptions(priority=10))


def test_an_option_that_the_ring_has_not_is_refused_with_the_place() -> None:
    limited = TaskDefinition.no_args("j", default_options={"isolation": "fresh"})

    with pytest.raises(SettingsError, match=rf"{__file__}:\d+: task j: isolation"):
        limited.enqueue(open_shop().publisher)


def test_a_name_is_known_by_its_definition() -> None:
    shop = open_shop()
    definition = TaskDefinition.json(
        "invoice.publish", args_type=Invoice, result_type=Receipt
    )
    shop.publisher.define(definition)

    handle = shop.publisher.enqueue_call(definition.build_call(Invoice("a")))
    shop.source.end(1, Kind.SUCCEEDED, pack_success({"number": 3}))

    assert handle.result() == Receipt(3)
    with pytest.raises(DuplicateTask, match="already registered at /"):
        shop.publisher.define(TaskDefinition.no_args("invoice.publish"))


def test_an_unknown_name_is_an_error_that_suggests_a_definition() -> None:
    shop = open_shop()
    shop.publisher.define(TaskDefinition.no_args("invoice.publish"))

    with pytest.raises(TaskNotRegistered, match=r"did you mean 'invoice\.publish'"):
        shop.publisher.enqueue_call(TaskCall(name="invoice.publsh"))


def test_a_producer_without_handlers_takes_any_name() -> None:
    shop = Shop(
        open_shop().submitter,
        open_shop().source,
        Publisher(Registry(), takes_any=lambda: True),
    )
    shop.publisher.connect(shop.submitter, shop.source)

    handle = shop.publisher.enqueue_call(TaskCall(name="anything", args={"a": 1}))
    shop.source.end(1, Kind.SUCCEEDED, pack_success([1]))

    assert (shop.last.head.name, shop.last.content) == ("anything", {"a": 1})
    assert handle.result() == [1]


def test_definitions_made_anew_each_time_do_not_fill_the_memory() -> None:
    shop = open_shop()

    for _ in range(2100):
        TaskDefinition.no_args("j").enqueue(shop.publisher)

    assert len(shop.publisher._defined) <= 1024
    assert len(shop.publisher._defined_lanes) <= 1024


def test_a_function_task_has_a_definition() -> None:
    def publish(invoice: Invoice) -> Receipt:
        return Receipt(len(invoice.id))

    task = fresh(publish, name="publish", queue="billing")
    shop = open_shop()

    handle = task.definition.enqueue(shop.publisher, {"id": "abc"})
    shop.source.end(1, Kind.SUCCEEDED, pack_success({"number": 3}))

    assert (shop.last.head.queue, shop.last.content["id"]) == ("billing", "abc")
    assert handle.result() == Receipt(3)


def test_metadata_is_kept_with_a_definition() -> None:
    metadata = TaskMetadata(description="Publishes invoices downstream", tags=("a",))

    assert TaskDefinition.no_args("j", metadata=metadata).metadata is metadata
    assert TaskDefinition.no_args("j").metadata == TaskMetadata()
    assert fresh(metadata=metadata).metadata is metadata


def test_a_definition_encodes_by_its_metadata_or_by_its_handler_here() -> None:
    encoder = Base64PayloadEncoder()
    own = TaskMetadata(args_encoder=encoder)
    task = fresh(lambda text: text, name="known", metadata=own)
    shop = open_shop(task)

    for definition in (
        TaskDefinition.codec("own", CODEC, metadata=own),
        TaskDefinition.codec("known", CODEC),
        TaskDefinition.codec("plain", CODEC),
    ):
        definition.enqueue(shop.publisher, Invoice("a"))

    mark = {ARGS_ENCODER: encoder.id}
    encoded, known, plain = (sent.content for sent in shop.submitter.sent)
    assert (encoded[1], known[1]) == (mark, mark)
    assert encoder.decode(encoded[0]) == encoder.decode(known[0]) == {"i": "a"}
    assert plain == {"i": "a"}


def test_arguments_of_another_version_are_not_read_by_a_handler() -> None:
    definition: Any = TaskDefinition.versioned_json("j", version=2, args_type=Invoice)

    assert definition.decode_args({VERSION_KEY: 2, "id": "a"}) == Invoice("a")
    assert definition.decode_args({"id": "a"}) == Invoice("a")
    with pytest.raises(PayloadVersionError, match=r"Version 3; known are \[2\]"):
        definition.decode_args({VERSION_KEY: 3, "id": "a"})
