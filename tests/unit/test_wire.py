"""The wire form: what crosses, what is refused, and how the place is named."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor.errors import PayloadError
from stem_actor.payload.lowering import check_annotation, is_record, lower, raise_
from stem_actor.payload.wire import MAX_DEPTH, pack_args, pack_value, unpack

Pair = namedtuple("Pair", "a b")
WHEN = datetime(2026, 1, 3, tzinfo=UTC)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20
)


class Color(enum.Enum):
    """A colour."""

    RED = "red"


class Level(enum.IntEnum):
    """An int with a name."""

    LOW = 1


@dataclass
class Line:
    """One line of an order."""

    when: datetime
    price: Decimal = Decimal(0)


@dataclass
class Order:
    """An order."""

    id: UUID
    lines: list[Line] = field(default_factory=list)
    color: Color = Color.RED


class Note(TypedDict):
    """A note."""

    text: str


class Point(msgspec.Struct):
    """A point."""

    x: int


class Row(msgspec.Struct, array_like=True):
    """A point that is a list on the wire."""

    x: int


class Opaque:
    """A class that nobody can take apart."""


@given(value=VALUES)
def test_plain_values_survive_and_any_messagepack_reads_them(value: object) -> None:
    packed = pack_value(value)

    assert unpack(memoryview(packed)) == value
    assert msgpack.unpackb(packed) == value


@given(args=st.dictionaries(st.text(), VALUES))
def test_arguments_survive(args: dict[str, object]) -> None:
    assert unpack(pack_args(args)) == args


def test_a_tuple_becomes_a_list() -> None:
    assert unpack(pack_args({"a": (1, (2,))})) == {"a": [1, [2]]}


@pytest.mark.parametrize(
    ("args", "path", "message"),
    [
        ({"when": WHEN}, "args.when", "is a datetime.datetime, which has no wire"),
        ({"items": [1, 2, 3, {"when": WHEN}]}, "args.items[3].when", "datetime"),
        ({"a": ({"b c": {1, 2}},)}, "args.a[0]['b c']", "is a builtins.set"),
        ({"a": {1: 2}}, "args.a[1]", "args.a has the key 1"),
        ({3: 4}, "args[3]", "args has the key 3"),
        ({"n": [2**64]}, "args.n[0]", "an int of 65 bits"),
        ({"n": -(2**63) - 1}, "args.n", "an int of 64 bits, out of the range"),
        ({"name": "caf\udce9"}, "args.name", "undecodable characters"),
        ({"d": {"caf\udce9": 1}}, "args.d", "keys must be valid text"),
        ({"d": OrderedDict(a=1)}, "args.d", "is a collections.OrderedDict"),
        ({"p": Pair(1, 2)}, "args.p", "Pair, which has no wire form"),
        ({"c": Level.LOW}, "args.c", "which has no wire form"),
        ({"f": [bytearray(b"x")]}, "args.f[0]", "is a builtins.bytearray"),
    ],
)
def test_what_has_no_wire_form_is_named_by_its_path(
    args: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        pack_args(args)

    assert caught.value.path.startswith(path)
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_subclass_hint_names_the_plain_class() -> None:
    with pytest.raises(PayloadError, match="pass a plain dict"):
        pack_args({"d": OrderedDict()})


def test_a_result_is_named_as_its_caller_says() -> None:
    with pytest.raises(PayloadError, match=r"result\[0\] is a builtins.object"):
        pack_value([object()], path="result")


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_nesting_is_bounded() -> None:
    assert unpack(pack_value(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(PayloadError, match="more than 64 levels"):
        pack_value(nested(MAX_DEPTH + 1))


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(PayloadError, match="does it contain itself"):
        pack_args({"loop": loop})


@pytest.mark.parametrize(
    "buffer",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\x01\x02",
        b"\xa1\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xd4\x05a",
        b"\x91" * (sys.getrecursionlimit() * 2) + b"\x01",
        b"\x81\x81\xa1a\x01\x01",
    ],
    ids=lambda raw: raw[:4].hex() or "empty",
)
def test_malformed_bytes_are_a_payload_error(buffer: bytes) -> None:
    with pytest.raises(PayloadError, match="the payload cannot be read"):
        unpack(buffer)


@given(buffer=st.binary(max_size=64))
def test_unpack_raises_nothing_else(buffer: bytes) -> None:
    with contextlib.suppress(PayloadError):
        unpack(buffer)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Order(UUID(int=5), [Line(WHEN, Decimal("1.10"))]), Order),
        (Note(text="x"), Note),
        (Point(3), Point),
        (Row(3), Row),
        ({"a", "b"}, set[str]),
        ({1: b"x"}, dict[int, bytes]),
        ((1, WHEN), tuple[int, datetime]),
        (None, Order | None),
    ],
)
def test_rich_values_survive_lowering_the_wire_and_raising(
    value: object, annotation: Any
) -> None:
    packed = pack_value(lower(value))

    assert raise_(unpack(packed), annotation) == value


def test_what_cannot_be_lowered_is_named_by_its_path() -> None:
    bad = {"orders": [Order(UUID(int=5), [Opaque()])]}  # type: ignore[list-item]

    with pytest.raises(PayloadError) as caught:
        lower(bad, path="args")

    assert caught.value.path == "args.orders[0].lines[0]"
    assert "Opaque, which has no wire form" in str(caught.value)


def test_what_does_not_fit_is_named_by_its_path() -> None:
    wire = {"id": str(UUID(int=5)), "lines": [{"when": 5}]}

    with pytest.raises(PayloadError) as caught:
        raise_(wire, Order, path="args.order")

    assert caught.value.path == "args.order.lines[0].when"
    assert "expected `datetime`, got `int`" in str(caught.value)


def test_raising_is_strict() -> None:
    with pytest.raises(PayloadError, match=r"args\.x: expected `int`, got `str`"):
        raise_({"x": "3"}, Point, path="args")


@pytest.mark.parametrize("cls", [Order, Note, Point])
def test_a_class_of_named_fields_is_a_record(cls: type) -> None:
    assert is_record(cls)


@pytest.mark.parametrize("other", [Row, dict, int, list[Order], Order | None, "Order"])
def test_anything_else_is_no_record(other: object) -> None:
    assert not is_record(other)


@pytest.mark.parametrize("annotation", [Order, Note, list[Point], Color, Any, None])
def test_a_known_annotation_passes(annotation: Any) -> None:
    check_annotation(annotation, path="x")


@pytest.mark.parametrize(
    "annotation", [Opaque, list[Opaque], dict[str, Opaque | None], Path]
)
def test_an_annotation_nobody_can_lower_is_refused(annotation: Any) -> None:
    with pytest.raises(PayloadError, match="the annotation of x has no wire form"):
        check_annotation(annotation, path="x")
