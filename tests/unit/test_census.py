"""The core's pass over all slots, against a look at each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stem_actor.ring.core import Core, State, create_core


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    segment = create_core(tmp_path / "core.seg", slots=512, arena_bytes=1 << 20)
    made = Core(segment, workers_max=2, result_ttl_ns=10**9)
    for number in range(500):  # the rest stays free
        made._slots[number].word = number % 7 << 60 | 0xFFF << 44 | number
        made._slots[number].queue = number % 5
    yield made
    made.close()
    segment.close()


def test_the_census_counts_each_slot_under_its_queue_and_state(core: Core) -> None:
    slots = [core.slot(number) for number in range(core.slots)]

    assert core.census() == Counter((it.queue, it.state) for it in slots)


def test_the_slots_in_some_states_are_found_in_order(core: Core) -> None:
    slots = [core.slot(number) for number in range(core.slots)]
    wanted = (State.READY, State.HELD)

    assert core.numbers_in(*wanted) == [it.number for it in slots if it.state in wanted]
