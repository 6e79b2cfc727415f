"""The supervisor's private structures: heap, index, lists."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from .internals import ffi, lib

SLOTS = 40
NONE = 0xFFFFFFFF
slots = st.integers(0, SLOTS - 1)
keys = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(st.tuples(slots, st.one_of(st.none(), keys)), max_size=120))
def test_the_heap_is_a_map_that_knows_its_minimum(
    actions: list[tuple[int, int | None]],
) -> None:
    heap, model = ffi.new("struct sa_heap *"), dict[int, int]()
    assert lib.sa_heap_open(heap, SLOTS) == lib.SA_OK

    for slot, key in actions:
        if key is None:
            lib.sa_heap_drop(heap, slot)
            model.pop(slot, None)
        else:
            lib.sa_heap_put(heap, slot, key)
            model[slot] = key
        assert heap.count == len(model)
        if model:
            assert heap.keys[0] == min(model.values())
            assert model[heap.slots[0]] == heap.keys[0]
        for each in range(SLOTS):
            assert (heap.where[each] != 0) == (each in model)

    order = []
    while heap.count:
        order.append(heap.keys[0])
        lib.sa_heap_drop(heap, heap.slots[0])
    assert order == sorted(model.values())
    lib.sa_heap_close(heap)


def id_of(number: int) -> bytes:
    """Return an id whose last eight bytes take few values, so that they collide."""
    return number.to_bytes(8, "big") + (number % 5).to_bytes(8, "little")


@given(st.lists(st.tuples(slots, st.booleans()), max_size=150))
def test_the_index_is_a_map_under_collisions(actions: list[tuple[int, bool]]) -> None:
    table = ffi.new("struct sa_slot[]", SLOTS)
    for slot in range(SLOTS):
        ffi.memmove(table[slot].id, id_of(slot), 16)
    index, model = ffi.new("struct sa_index *"), set[int]()
    assert lib.sa_index_open(index, table, SLOTS) == lib.SA_OK

    for slot, add in actions:
        if add and slot not in model:
            lib.sa_index_add(index, slot)
            model.add(slot)
        elif not add:
            lib.sa_index_remove(index, slot)
            model.discard(slot)
        for each in range(SLOTS):
            found = lib.sa_index_find(index, id_of(each))
            assert found == (each if each in model else NONE)

    lib.sa_index_close(index)


@given(st.permutations(range(SLOTS)), st.lists(st.integers(0, 4), min_size=SLOTS))
def test_a_list_is_sorted_in_place_and_stays_linked_both_ways(
    order: list[int], key_of: list[int]
) -> None:
    following, before = ffi.new("uint32_t[]", SLOTS), ffi.new("uint32_t[]", SLOTS)
    links = ffi.new("struct sa_links *", {"next": following, "prev": before})
    chain: Any = ffi.new("struct sa_list *")
    lib.list_clear(chain)
    chosen = order[: order[0] + 1]
    for slot in chosen:
        lib.list_append(links, chain, slot)

    lib.list_sort(links, chain, ffi.new("int64_t[]", key_of[:SLOTS]))

    forth, slot = [], chain.first
    while slot != NONE:
        forth.append(slot)
        slot = following[slot]
    back, slot = [], chain.last
    while slot != NONE:
        back.append(slot)
        slot = before[slot]
    assert forth == sorted(chosen, key=lambda each: key_of[each])  # both are stable
    assert forth == back[::-1]
    assert chain.count == len(chosen)


def test_an_empty_list_is_sorted_already() -> None:
    links = ffi.new("struct sa_links *")
    chain = ffi.new("struct sa_list *")
    lib.list_clear(chain)

    lib.list_sort(links, chain, ffi.new("int64_t[]", 1))

    assert (chain.first, chain.last, chain.count) == (NONE, NONE, 0)
