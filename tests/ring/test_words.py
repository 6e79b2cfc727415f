"""Words, layouts and checksums: the numbers that processes agree on."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .internals import ffi, lib

u32 = st.integers(0, 2**32 - 1)


@given(st.integers(0, 15), st.integers(0, 1), u32, u32, u32)
def test_a_slot_word_gives_back_what_was_packed(
    state: int, var: int, owner: int, starts: int, gen: int
) -> None:
    word = lib.slot_word(state, var, owner, starts, gen)

    parts = [lib.slot_word_part(word, part) for part in range(5)]

    assert parts == [state, var, owner & 0xFFF, starts & 0xFFF, gen]


@given(st.integers(0, 2), u32, u32, u32)
def test_a_cell_word_gives_back_what_was_packed(
    state: int, starts: int, gen: int, slot: int
) -> None:
    word = lib.cell_word(state, starts, gen, slot)

    assert (lib.cell_state(word), lib.cell_slot(word)) == (state, slot)
    assert lib.cell_as(word, 2) == lib.cell_word(2, starts, gen, slot)
    assert word >> 48 & 0x3FFF == starts & 0x3FFF
    assert word >> 32 & 0xFFFF == gen & 0xFFFF


def test_words_of_different_writers_are_128_bytes_apart() -> None:
    offsets = [lib.ring_offset(line) for line in range(12)]

    assert offsets == sorted(offsets)
    assert all(later - sooner >= 128 for sooner, later in itertools.pairwise(offsets))
    assert all(offset % 128 == 0 for offset in offsets)
    assert lib.ring_offset(99) <= 4096


@pytest.mark.parametrize(
    ("cells", "submit", "report"),
    [
        (4, 1 << 16, 1 << 16),
        (9, 1 << 16, 1 << 16),
        (2048, 1 << 16, 1 << 16),
        (8, 1 << 15, 1 << 16),
        (8, 1 << 16, 1 << 27),
        (8, 70000, 1 << 16),
    ],
)
def test_sizes_out_of_range_make_no_ring(cells: int, submit: int, report: int) -> None:
    assert lib.sa_ring_size(cells, submit, report) == 0


@pytest.mark.parametrize("cells", [0, 8, 64, 1024])
def test_a_ring_is_believed_only_with_its_own_header(cells: int) -> None:
    size = lib.sa_ring_size(cells, 1 << 16, 1 << 17)
    ring = ffi.new("uint8_t[]", size)
    lib.sa_ring_init(ring, size, 7, cells, 1 << 16, 1 << 17, bytes(16))

    assert lib.sa_ring_attach(ring, size) == lib.SA_OK
    assert lib.sa_ring_attach(ring, size - 1) == lib.SA_CORRUPT
    for byte in range(80):
        ring[byte] ^= 1
        expected = lib.SA_VERSION if 4 <= byte < 8 else lib.SA_CORRUPT
        if byte < 76:  # the rest is spare
            assert lib.sa_ring_attach(ring, size) == expected
        ring[byte] ^= 1


def crc(data: bytes, seed: int = 0) -> int:
    """Return the checksum, by both ways, which must agree."""
    fast = lib.sa_crc32c(seed, data, len(data))
    assert fast == lib.sa_crc32c_software(seed, data, len(data))
    return int(fast)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_the_checksum_is_crc32c(data: bytes, expected: int) -> None:
    """Vectors of RFC 3720, appendix B.4, and of the catalogue of CRCs."""
    assert crc(data) == expected


@given(data=st.binary(max_size=200), cut=st.integers(0, 200), seed=u32)
def test_a_checksum_can_be_continued(data: bytes, cut: int, seed: int) -> None:
    assert crc(data[cut:], crc(data[:cut], seed)) == crc(data, seed)
