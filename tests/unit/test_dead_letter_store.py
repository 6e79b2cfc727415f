"""The file of dead letters: its bounds, and the places of its entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stem_actor.actor.supervisor.dead_letters import (
    BYTES_MAX,
    DeadLetter,
    DeadLetterStore,
)

LARGE = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeadLetterStore]:
    made = DeadLetterStore(tmp_path / "dead.db")
    yield made
    made.close()


def letter(number: int, size: int = 1) -> DeadLetter:
    return DeadLetter(
        task_id=number.to_bytes(16, "big"),
        name="task",
        queue=f"q{number % 2}",
        attempt=0,
        starts=1,
        crashes=0,
        died_ns=10**18 + number,
        record=bytes(size),
        error=b"",
    )


@pytest.mark.parametrize("way", ["remove", "purge"])
def test_what_was_taken_out_makes_room_for_later_entries(
    store: DeadLetterStore, way: str
) -> None:
    for number in range(2 * BYTES_MAX // LARGE):
        entry = letter(number, LARGE)
        store.add([entry])
        if way == "remove":
            assert store.remove([entry.task_id, bytes(16)[:15]]) == (1, [])
        else:
            assert store.purge() == (1, [])

    lost = store.add([letter(9999)])

    assert (lost, store.count, store.dropped) == ([], 1, 0)


def test_the_bound_on_bytes_drops_the_oldest_and_counts_them(
    store: DeadLetterStore,
) -> None:
    full = BYTES_MAX // LARGE

    short = letter(0, 200)  # its arguments may be spooled: its record is handed out
    lost = [*store.add([short]), *store.add([letter(1, LARGE)])]

    lost += [it for n in range(2, full + 2) for it in store.add([letter(n, LARGE)])]

    assert lost == [short.record]
    assert (store.count, store.dropped) == (full, 2)


def test_pages_follow_each_other_and_a_place_is_never_used_again(
    store: DeadLetterStore,
) -> None:
    store.add([letter(n) for n in range(5)])
    page = store.list(limit=2)
    store.remove([it.task_id for it in page])
    store.add([letter(8)])

    rest = store.list(limit=10, before=page[-1].seq)

    assert [it.task_id for it in rest] == [letter(n).task_id for n in (2, 1, 0)]
    assert store.list(limit=1)[0].seq > page[0].seq
    assert store.list(since_ns=letter(8).died_ns) == store.list(limit=1)
    assert [it.queue for it in store.list(queue="q1")] == ["q1"]
