"""The byte ring: a queue whatever the positions, and never a read out of bounds."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .internals import ffi, lib

CAP = 1024
HEADER = 32
LARGEST = CAP // 8 - HEADER
# Near the wrap of the 64-bit positions, and of the ring itself.
STARTS = (0, 32, CAP - 32, 2**64 - CAP, 2**64 - 64, 2**64 - 32, 2**63 - 32)


class Ring:
    """Both ends of one ring over one buffer, guarded on both sides."""

    GUARD = 256

    def __init__(self, start: int = 0) -> None:
        self.whole: Any = ffi.new("uint8_t[]", b"\xa5" * (CAP + 2 * self.GUARD))
        self.bytes = self.whole + self.GUARD
        self.tail, self.head = (
            ffi.new("uint64_t *", start),
            ffi.new("uint64_t *", start),
        )
        self.writer, self.reader = (
            ffi.new("struct sa_spsc *"),
            ffi.new("struct sa_spsc *"),
        )
        self.attach_writer()
        self.attach_reader()

    def attach_writer(self) -> None:
        lib.sa_spsc_writer(self.writer, self.bytes, CAP, self.tail, self.head)

    def attach_reader(self) -> None:
        lib.sa_spsc_reader(self.reader, self.bytes, CAP, self.tail, self.head)

    def write(self, payload: bytes, kind: int = 0) -> int:
        """Reserve and seal, without publishing."""
        at = ffi.new("uint8_t **")
        rc = int(lib.sa_spsc_reserve(self.writer, len(payload), at))
        if rc == lib.SA_OK:
            ffi.memmove(at[0], payload, len(payload))
            head = ffi.new("struct sa_record *", {"len": len(payload), "kind": kind})
            lib.sa_spsc_seal(self.writer, head)
        return rc

    def push(self, payload: bytes) -> int:
        """Write one record and publish it."""
        rc = self.write(payload)
        lib.sa_spsc_publish(self.writer)
        return rc

    def peek(self) -> tuple[int, Any]:
        """Look at the next record."""
        view = ffi.new("struct sa_view *")
        return int(lib.sa_spsc_peek(self.reader, view)), view

    def pop(self) -> bytes | None:
        """Take the next record and give its room back."""
        rc, view = self.peek()
        if rc != lib.SA_OK:
            assert rc == lib.SA_EMPTY
            return None
        payload = bytes(ffi.buffer(view.payload, view.head.len))
        lib.sa_spsc_next(self.reader, view)
        lib.sa_spsc_release(self.reader)
        return payload

    @property
    def guards_are_whole(self) -> bool:
        """Whether nothing was written beside the ring."""
        data = bytes(ffi.buffer(self.whole))[: CAP + 2 * self.GUARD]
        guard = b"\xa5" * self.GUARD
        return data[: self.GUARD] == guard and data[-self.GUARD :] == guard


actions = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.binary(max_size=LARGEST)),
        st.tuples(st.just("batch"), st.lists(st.binary(max_size=40), max_size=6)),
        st.tuples(st.just("pop"), st.integers(1, 5)),
        st.tuples(st.just("reattach"), st.booleans()),
    ),
    max_size=60,
)


@given(start=st.sampled_from(STARTS), actions=actions)
def test_any_mixture_of_calls_is_a_queue(
    start: int, actions: list[tuple[str, Any]]
) -> None:
    ring, model = Ring(start), deque[bytes]()

    for action, value in actions:
        if action == "push" and ring.push(value) == lib.SA_OK:
            model.append(value)
        elif action == "batch":
            model += [each for each in value if ring.write(each) == lib.SA_OK]
            lib.sa_spsc_publish(ring.writer)
        elif action == "pop":
            for _ in range(value):
                assert (model.popleft() if model else None) == ring.pop()
        elif action == "reattach":
            ring.attach_writer() if value else ring.attach_reader()

    assert list(model) == [ring.pop() for _ in range(len(model))]
    assert ring.pop() is None
    assert ring.guards_are_whole


@pytest.mark.parametrize("start", STARTS)
def test_every_position_is_passed_through_on_a_long_way_round(start: int) -> None:
    ring = Ring(start)

    for turn in range(400):
        payload = bytes([turn % 256]) * (turn * 7 % (LARGEST + 1))

        assert ring.push(payload) == lib.SA_OK
        assert ring.pop() == payload

    assert ring.guards_are_whole


@pytest.mark.parametrize("start", STARTS)
def test_a_full_ring_refuses_and_has_room_again_after_one_pop(start: int) -> None:
    ring = Ring(start)
    count = 0
    while ring.push(b"x" * LARGEST) == lib.SA_OK:
        count += 1

    first = ring.pop()

    assert count == 8 if start % CAP == 0 else count in (7, 8)
    assert first == b"x" * LARGEST
    assert ring.push(b"") in (lib.SA_OK, lib.SA_FULL)
    while ring.pop() is not None:
        count -= 1
    assert ring.push(b"y" * LARGEST) == lib.SA_OK


def test_a_record_above_an_eighth_of_the_ring_is_too_large() -> None:
    ring = Ring()

    assert lib.sa_spsc_payload_max(ring.writer) == LARGEST
    assert ring.push(b"x" * (LARGEST + 1)) == lib.SA_TOO_LARGE
    assert ring.push(b"x" * LARGEST) == lib.SA_OK


def test_nothing_is_visible_before_it_is_published() -> None:
    ring = Ring()
    ring.write(b"secret")

    before = ring.peek()[0]
    lib.sa_spsc_publish(ring.writer)

    assert before == lib.SA_EMPTY
    assert ring.pop() == b"secret"


def test_a_peek_that_is_not_stepped_over_is_repeated() -> None:
    ring = Ring()
    ring.push(b"again")

    ring.peek()
    ring.attach_reader()

    assert ring.pop() == b"again"


@given(bit=st.integers(0, 8 * (HEADER + 64) - 1), start=st.sampled_from(STARTS))
def test_any_flipped_bit_of_a_record_is_seen(bit: int, start: int) -> None:
    ring = Ring(start)
    ring.push(b"p" * 64)
    at = start % CAP
    if CAP - at < HEADER + 64:
        at = 0  # the record itself lies behind the padding
    ring.bytes[at + bit // 8] ^= 1 << bit % 8

    rc, _ = ring.peek()

    assert rc == lib.SA_CORRUPT


@given(
    data=st.binary(min_size=CAP, max_size=CAP),
    head=st.integers(0, 2**64 - 1),
    ahead=st.integers(0, 2 * CAP),
)
def test_hostile_bytes_and_positions_are_never_believed(
    data: bytes, head: int, ahead: int
) -> None:
    ring = Ring()
    ffi.memmove(ring.bytes, data, CAP)
    ring.head[0], ring.tail[0] = head, (head + ahead) % 2**64
    ring.attach_reader()

    rc, _view = ring.peek()

    assert rc in (lib.SA_EMPTY, lib.SA_CORRUPT)
    assert ahead == 0 if rc == lib.SA_EMPTY else True


@given(
    data=st.binary(max_size=CAP),
    length=st.one_of(st.integers(0, 2 * CAP), st.integers(0, 2**32 - 1)),
    kind=st.sampled_from([0, 1, 2, 0xFFFF]),
    start=st.sampled_from(STARTS),
)
def test_a_length_or_type_that_lies_is_corrupt_even_with_a_plausible_crc(
    data: bytes, length: int, kind: int, start: int
) -> None:
    ring = Ring(start)
    rest = kind.to_bytes(2, "little") + bytes(22)
    seed = lib.sa_crc32c(length, rest, len(rest))
    crc = lib.sa_crc32c(seed, data, min(length, len(data)))
    record = length.to_bytes(4, "little") + crc.to_bytes(4, "little") + rest + data
    at = start % CAP
    record = record[: CAP - at]
    ffi.memmove(ring.bytes + at, record, len(record))
    ring.tail[0] = (start + 96) % 2**64
    ring.attach_reader()

    rc, _view = ring.peek()

    if rc == lib.SA_OK:
        assert kind == 1
        assert length <= 64
    assert ring.guards_are_whole


@given(head=st.integers(0, 2**64 - 1), payload=st.binary(max_size=LARGEST))
def test_a_writer_never_overruns_its_ring_whatever_the_reader_claims(
    head: int, payload: bytes
) -> None:
    ring = Ring(4096)
    ring.head[0] = head
    ring.attach_writer()

    written = sum(ring.push(payload) == lib.SA_OK for _ in range(64))

    assert written * (HEADER + len(payload)) <= CAP
    assert ring.guards_are_whole
