"""The payload allocator against a set of intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .internals import ffi, lib

SLABS = 6
NONE = 0xFFFFFFFF
lengths = st.one_of(
    st.integers(1, 300), st.sampled_from([1024, 12_288, 21_824, 32_768, 49_152, 65_536])
)


class Extents:
    """An allocator, and the extents that are out."""

    def __init__(self) -> None:
        self.c: Any = ffi.new("struct sa_extents *")
        assert lib.sa_extents_open(self.c, SLABS * 65_536) == lib.SA_OK
        self.out: dict[int, int] = {}

    def take(self, length: int) -> int:
        """Take room; it must not overlap what is out."""
        at = int(lib.sa_extent_take(self.c, length))
        if at == NONE:
            return at
        begin, end = 64 * at, 64 * at + lib.sa_extent_class_size(length)
        assert end <= SLABS * 65_536
        assert lib.sa_extent_class_size(length) >= length
        for other, size in self.out.items():
            assert end <= 64 * other or begin >= 64 * other + size
        self.out[at] = length
        return at

    def give(self, at: int) -> None:
        """Give room back."""
        lib.sa_extent_give(self.c, at, self.out.pop(at))

    @property
    def used(self) -> int:
        """Bytes out, as the model counts them."""
        return sum(lib.sa_extent_class_size(length) for length in self.out.values())

    def rebuilt(self) -> Extents:
        """Return another allocator, rebuilt from the extents that are out."""
        again = Extents()
        for at, length in self.out.items():
            assert lib.sa_extent_mark(again.c, at, length) == lib.SA_OK
        lib.sa_extents_seal(again.c)
        again.out = dict(self.out)
        return again

    def close(self) -> None:
        """Free its memory."""
        lib.sa_extents_close(self.c)


@pytest.fixture
def extents() -> Iterator[Extents]:
    made = Extents()
    yield made
    made.close()


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "take", "give", "rebuild"]), lengths),
        max_size=120,
    )
)
def test_extents_never_overlap_and_survive_a_rebuild(
    actions: list[tuple[str, int]],
) -> None:
    extents = Extents()

    for action, value in actions:
        if action == "take":
            extents.take(value)
        elif action == "give" and extents.out:
            extents.give(sorted(extents.out)[value % len(extents.out)])
        elif action == "rebuild":
            old, extents = extents, extents.rebuilt()
            assert old.c.free_slabs == extents.c.free_slabs
            old.close()
        assert extents.used == extents.c.used_bytes

    for at in list(extents.out):
        extents.give(at)
    assert (extents.c.free_slabs, extents.c.used_bytes) == (SLABS, 0)
    extents.close()


@pytest.mark.parametrize("length", [1, 64, 65, 300, 21_824, 32_768, 65_536])
def test_a_full_arena_says_so_and_is_whole_again_when_emptied(
    extents: Extents, length: int
) -> None:
    size = lib.sa_extent_class_size(length)

    while extents.take(length) != NONE:
        pass

    assert len(extents.out) == SLABS * (65_536 // size)
    for at in list(extents.out):
        extents.give(at)
    assert extents.take(65_536) != NONE


@pytest.mark.parametrize("length", [0, 65_537, 2**32 - 1])
def test_a_length_no_slab_holds_is_refused(extents: Extents, length: int) -> None:
    assert lib.sa_extent_take(extents.c, length) == NONE
    assert lib.sa_extent_mark(extents.c, 0, length) == lib.SA_CORRUPT


@given(at=st.integers(0, 2**32 - 1), length=st.integers(0, 2**32 - 1))
def test_a_mark_that_cannot_be_is_corrupt(at: int, length: int) -> None:
    extents = Extents()
    taken = extents.take(100)

    again = extents.rebuilt()
    rc = lib.sa_extent_mark(again.c, at, length)

    if rc == lib.SA_OK:
        size = lib.sa_extent_class_size(length)
        assert 64 * at + size <= SLABS * 65_536
        assert 64 * at >= 64 * taken + 128 or 64 * at + size <= 64 * taken
    extents.close()
    again.close()


def test_the_same_extent_cannot_be_marked_twice(extents: Extents) -> None:
    at = extents.take(1000)
    again = Extents()

    rcs = [lib.sa_extent_mark(again.c, at, 1000) for _ in range(2)]

    assert rcs == [lib.SA_OK, lib.SA_CORRUPT]
    again.close()
