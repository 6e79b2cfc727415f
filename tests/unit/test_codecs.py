"""Codecs, versioned payloads and the readers of stored values."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor import (
    PayloadCodec,
    PayloadError,
    PayloadMap,
    PayloadVersionError,
    PayloadVersionRegistry,
    ProgressSignal,
    TaskError,
    TaskResult,
    TaskState,
    TaskStatus,
)
from stem_actor.model.version import VERSION_KEY, split_version, with_version
from stem_actor.payload.codec import lowered_map, versioned
from stem_actor.payload.wire import pack_value, unpack


@dataclasses.dataclass
class Dated:
    id: str
    when: datetime


@attrs.define
class Attrs:
    id: str
    tags: list[str]


class Struct(msgspec.Struct):
    id: str
    amount: int = 0


class Typed(TypedDict):
    id: str
    amount: int


class Model(pydantic.BaseModel):
    id: str
    when: datetime
    raw: bytes = b""


class Money:
    """No DTO: it needs a codec."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    __hash__ = None  # type: ignore[assignment]


NOON = datetime(2026, 1, 3, 12)
DTOS: list[tuple[Any, Any]] = [
    (Dated, Dated("inv_42", NOON)),
    (Attrs, Attrs("inv_42", ["a", "b"])),
    (Struct, Struct("inv_42", 7)),
    (Typed, Typed(id="inv_42", amount=7)),
    (Model, Model(id="inv_42", when=NOON, raw=b"\xff\x00")),
]
MONEY = PayloadCodec[Money].map(
    lambda money: {"cents": money.cents}, lambda wire: Money(wire["cents"])
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("cls", "dto"), DTOS, ids=lambda it: getattr(it, "__name__", "")
)
def test_a_dto_of_each_kind_comes_back_from_the_wire(cls: Any, dto: Any) -> None:
    codec = PayloadCodec.json(cls)

    stored = unpack(pack_value(codec.encode(dto)))

    assert codec.decode(stored) == dto


@pytest.mark.parametrize(
    ("cls", "dto"), DTOS, ids=lambda it: getattr(it, "__name__", "")
)
def test_a_dto_that_does_not_fit_is_refused_with_its_place(cls: Any, dto: Any) -> None:
    with pytest.raises(PayloadError, match="id"):
        PayloadCodec.json(cls).decode({"id": 3})


def test_a_class_that_is_no_dto_needs_functions() -> None:
    assert MONEY.decode(MONEY.encode(Money(5))) == Money(5)
    with pytest.raises(PayloadError, match=r"Money, which has no wire form"):
        PayloadCodec.json(Money).encode(Money(5))


def test_a_map_codec_refuses_what_is_no_map() -> None:
    listing: Any = PayloadCodec.map(lambda value: value, dict)

    with pytest.raises(PayloadError, match="payload is a list, which is no map"):
        listing.encode([1])
    with pytest.raises(PayloadError, match="payload: expected a map, got `int`"):
        listing.decode(3)


def test_the_version_is_the_first_key_of_what_is_stored() -> None:
    stored: Any = PayloadCodec.versioned_json(3, _read).encode(Struct("a", 1))

    assert list(stored) == [VERSION_KEY, "id", "amount"]
    assert json.dumps(stored).startswith('{"__stemPayloadVersion": 3')


def test_a_version_key_of_the_dto_itself_does_not_win() -> None:
    stored = versioned({"a": 1, VERSION_KEY: 9}, 2)

    assert list(stored.items()) == [(VERSION_KEY, 2), ("a", 1)]


@given(st.dictionaries(st.text(), plain), st.integers(1, 1 << 31))
def test_any_map_keeps_its_content_under_a_version(
    payload: dict[str, Any], version: int
) -> None:
    payload.pop(VERSION_KEY, None)

    marked = with_version(payload, version)

    assert next(iter(marked)) == VERSION_KEY
    assert split_version(marked, path="payload") == (version, payload)
    assert VERSION_KEY not in payload


@pytest.mark.parametrize(
    ("mark", "version"), [(2, 2), ("2", 2), (2.0, 2), (None, 7)], ids=repr
)
def test_a_mark_may_be_whatever_an_int_can_be_read_from(
    mark: object, version: int
) -> None:
    found, rest = split_version({VERSION_KEY: mark, "a": 1}, default=7, path="args")

    assert (found, rest) == (version, {"a": 1})


@pytest.mark.parametrize("mark", ["two", 1.5, True, [1], "²"], ids=repr)
def test_a_mark_that_is_no_number_is_refused(mark: object) -> None:
    with pytest.raises(PayloadError, match=r"args has __stemPayloadVersion .* no vers"):
        split_version({VERSION_KEY: mark}, path="args")


def test_a_codec_reads_every_version_and_writes_one() -> None:
    registry = PayloadVersionRegistry(
        {1: lambda it: Money(it["euros"] * 100), 2: _money}
    )
    codec = PayloadCodec.versioned_map(2, lambda it: {"cents": it.cents}, registry)

    assert codec.encode(Money(5)) == {VERSION_KEY: 2, "cents": 5}
    assert codec.decode({VERSION_KEY: 1, "euros": 3}) == Money(300)
    assert codec.decode({VERSION_KEY: 2, "cents": 3}) == Money(3)
    assert codec.decode({"cents": 3}) == Money(3), "without a mark: what it writes"


def test_the_version_without_a_mark_can_be_told() -> None:
    registry = PayloadVersionRegistry(
        {1: lambda it: Money(it["euros"] * 100), 2: _money}, default_version=1
    )
    by_registry = PayloadCodec.versioned_map(2, _cents, registry)
    by_codec = PayloadCodec.versioned_map(2, _cents, registry, default_decode_version=2)

    assert by_registry.decode({"euros": 3}) == Money(300)
    assert by_codec.decode({"cents": 3}) == Money(3)


def test_an_unknown_version_names_the_key_and_what_is_known() -> None:
    registry = PayloadVersionRegistry({2: _money, 1: _money})

    with pytest.raises(PayloadVersionError) as caught:
        registry({"cents": 3}, 9)

    assert str(caught.value).startswith(
        "payload has __stemPayloadVersion 9; known are [1, 2]"
    )
    assert caught.value.known == (1, 2)


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0])
def test_a_version_is_an_int_above_0(version: Any) -> None:
    with pytest.raises(ValueError, match="version must be an int above 0"):
        versioned({}, version)
    with pytest.raises(ValueError, match="version must be an int above 0"):
        PayloadVersionRegistry({version: _money})
    with pytest.raises(ValueError, match="version must be an int above 0"):
        PayloadCodec.versioned_json(version, _read)


# --- readers


def status_with(payload: object = None, **meta: object) -> TaskStatus:
    return TaskStatus("id", TaskState.SUCCEEDED, payload, meta=meta)


def test_a_status_reads_its_payload_by_type() -> None:
    status = status_with({"id": "a", "amount": 3})

    assert status.payload_json(Struct) == Struct("a", 3)
    assert status.payload_json(Typed) == {"id": "a", "amount": 3}
    assert status_with({"cents": 3}).payload_as(MONEY) == Money(3)
    assert status_with({"cents": 3}).payload_versioned_json(_one_of) == (
        {"cents": 3},
        1,
    )
    with pytest.raises(PayloadError, match=r"payload\.amount: expected `int`"):
        status_with({"id": "a", "amount": "3"}).payload_json(Struct)


def test_without_a_payload_there_is_nothing_to_read() -> None:
    status = status_with(None)

    assert status.payload_json(Struct) is None
    assert status.payload_as(MONEY) is None
    assert status.payload_versioned_json(_one_of) is None


def test_a_result_reads_what_was_stored() -> None:
    stored = {VERSION_KEY: 2, "cents": 3}
    result = TaskResult("id", status_with(stored), "decoded", stored)

    assert result.payload_versioned_json(_one_of) == ({"cents": 3}, 2)
    assert result.payload_as(PayloadCodec.versioned_map(2, _cents, _one)) == Money(3)
    assert TaskResult[int]("id").payload_json(Struct) is None


@pytest.mark.parametrize(
    "holder",
    [
        status_with(None, id="a", amount=2),
        TaskError(meta={"id": "a", "amount": 2}),
    ],
    ids=["status", "error"],
)
def test_meta_is_read_as_one_object(holder: TaskStatus | TaskError) -> None:
    assert holder.meta_json(Struct) == Struct("a", 2)
    assert holder.meta_as(PayloadCodec.json(Struct)) == Struct("a", 2)
    assert holder.meta_versioned_json(_one_of, default_decode_version=4)[1] == 4


def test_a_progress_signal_reads_keys_and_all_of_its_data() -> None:
    signal = ProgressSignal(
        50, {"step": "smtp", "item": {"id": "a"}, "old": {VERSION_KEY: 2, "x": 1}}
    )

    assert signal.data_value("step", str) == "smtp"
    assert signal.data_value("none", str) is None
    assert signal.data_json("item", Struct) == Struct("a")
    assert signal.data_versioned_json("old", _one_of) == ({"x": 1}, 2)
    assert signal.payload_json(dict) == signal.data
    assert ProgressSignal(1).data_value("step") is None
    with pytest.raises(PayloadError, match=r"data\.step: expected `int`, got `str`"):
        signal.data_value("step", int)
    with pytest.raises(PayloadError, match="data: expected a map, got `int`"):
        ProgressSignal(1, 3).data_value("step")


def test_a_payload_map_checks_what_it_promises() -> None:
    args = PayloadMap({"n": 3, "f": 2, "none": None, "item": {"id": "a"}}, path="args")

    assert args.value("n", int) == 3
    assert args.value("none", int) is None
    assert args.value_or("none", "x") == "x"
    assert args.value_or("n", 4) == 3
    assert args.value_or("f", 1.5) == 2.0
    assert args.required_value("item", Struct) == Struct("a")
    assert args.required_value("n") == 3
    for wrong in (
        lambda: args.value("n", str),
        lambda: args.value_or("n", "x"),
        lambda: args.value_or("n", default=False),
        lambda: args.required_value("none", int),
    ):
        with pytest.raises(PayloadError, match=r"args\.n"):
            wrong()


def test_a_payload_map_is_a_mapping() -> None:
    args = PayloadMap({"n": 3})

    assert dict(args) == {"n": 3}
    assert {**args, "m": 1} == args | {"m": 1}
    assert args == {"n": 3}
    assert lowered_map(args) == {"n": 3}


def _read(payload: dict[str, Any], version: int) -> Struct:
    return Struct(payload["id"], version)


def _one_of(payload: dict[str, Any], version: int) -> tuple[dict[str, Any], int]:
    return payload, version


def _one(payload: dict[str, Any], version: int) -> Money:
    return Money(payload["cents"])


def _money(payload: dict[str, Any]) -> Money:
    return Money(payload["cents"])


def _cents(money: Money) -> dict[str, object]:
    return {"cents": money.cents}
