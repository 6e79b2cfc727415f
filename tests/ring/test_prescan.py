"""The walk over MessagePack that builds nothing, against the real packer."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .internals import ffi, lib

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=300),
    st.binary(max_size=300),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=20),
        st.dictionaries(st.text(max_size=3), inner, max_size=20),
    ),
    max_leaves=40,
)


def nodes_of(value: Any) -> int:
    """Return how many values there are, keys counted."""
    if isinstance(value, list):
        return 1 + sum(map(nodes_of, value))
    if isinstance(value, dict):
        return 1 + sum(1 + nodes_of(inner) for inner in value.values())
    return 1


def prescan(data: bytes, nodes: int = 10_000, depth: int = 64) -> tuple[int, int]:
    """Return the status and the count."""
    count = ffi.new("uint32_t *")
    return int(lib.sa_prescan(data, len(data), nodes, depth, count)), count[0]


@given(values)
def test_whatever_is_packed_is_well_formed_and_counted(value: Any) -> None:
    assert prescan(msgpack.packb(value)) == (lib.SA_OK, nodes_of(value))


@given(values, st.integers(0, 2**31))
def test_every_truncation_is_corrupt(value: Any, cut: int) -> None:
    data = msgpack.packb(value)

    assert prescan(data[: cut % len(data)])[0] == lib.SA_CORRUPT


@given(values, st.binary(min_size=1, max_size=9))
def test_trailing_bytes_are_corrupt(value: Any, rest: bytes) -> None:
    assert prescan(msgpack.packb(value) + rest)[0] == lib.SA_CORRUPT


@given(st.binary(max_size=400))
def test_what_is_accepted_can_be_decoded(data: bytes) -> None:
    rc, count = prescan(data)

    if rc == lib.SA_OK:
        unpacked = msgpack.unpackb(
            data, raw=True, strict_map_key=False, object_pairs_hook=list, use_list=False
        )
        assert unpacked is not NotImplemented
        assert 0 < count <= len(data)


@pytest.mark.parametrize("size", [15, 16, 255, 256, 65_535, 65_536])
def test_every_width_of_a_length_is_read(size: int) -> None:
    for value in ("x" * size, b"x" * size, [None] * size):
        assert prescan(msgpack.packb(value), nodes=70_000)[0] == lib.SA_OK


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", "SA_CORRUPT"),
        (b"\xc1", "SA_CORRUPT"),
        (msgpack.packb(msgpack.ExtType(1, b"x")), "SA_CORRUPT"),
        (b"\xdd\xff\xff\xff\xff", "SA_CORRUPT"),  # 4 billion values that are not there
        (b"\xdf\xff\xff\xff\xff" + bytes(64), "SA_CORRUPT"),
        (b"\x9f" * 65 + bytes(2000), "SA_TOO_LARGE"),  # deeper than allowed
        (b"\xdc\x27\x11" + b"\x90" * 10_001, "SA_TOO_LARGE"),  # empty lists: a bomb
    ],
)
def test_bombs_and_nonsense_are_refused(data: bytes, status: str) -> None:
    assert prescan(data)[0] == getattr(lib, status)


def test_the_depth_is_bounded_by_the_walk_itself() -> None:
    assert prescan(b"\x91" * 256 + b"\xc0", depth=256) == (lib.SA_OK, 257)
    assert prescan(b"\x91" * 257 + b"\xc0", depth=256)[0] == lib.SA_TOO_LARGE
    assert prescan(b"\xc0", depth=257)[0] == lib.SA_INVALID
