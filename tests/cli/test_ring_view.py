"""The read-only view: what it counts, and what it refuses to look at."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stem_actor import StemApp
from stem_actor.errors import RingCorrupt, RingError, RingVersionMismatch
from stem_actor.ring.core import create_core
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.view import RingView

LAYOUT_AT = 8
ARENA_LEN_AT = 24


@pytest.fixture
def directory(tmp_path: Path) -> RingDirectory:
    """A ring that nobody has run yet."""
    create_core(tmp_path / "core.seg", slots=64, arena_bytes=256 << 10).close()
    return RingDirectory(tmp_path, is_anonymous=False)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[StemApp]:
    made = StemApp(workers=1, slots=128, arena_bytes=1 << 20, runtime_dir=tmp_path)

    @made.task(name="add", queue="sums")
    def add(a: int, b: int) -> int:
        return a + b

    with made:
        yield made


def test_slots_are_counted_by_state_queue_and_name(app: StemApp) -> None:
    app.enqueue("add", {"a": 1, "b": 2}).result(30)
    app.enqueue("add", {"a": 3, "b": 4}, not_before=600)
    deadline = time.monotonic() + 20
    while not all(it.pid for it in app.workers()) and time.monotonic() < deadline:
        os.sched_yield()  # the last one may not have been born yet
    view = RingView(app.directory)

    found = view.sample()
    view.close()

    (queue,) = found.queues
    (task,) = found.tasks
    assert (
        found.states["finished"], found.states["delayed"],
        found.slots - sum(found.states.values()),
    ) == (1, 1, 126)  # fmt: skip
    assert (queue.name, queue.counts["finished"], queue.counts["delayed"]) == (
        "sums",
        1,
        1,
    )
    assert (task.name, task.counts["delayed"], task.counts["finished"]) == ("add", 1, 0)
    assert found.supervisor == app.directory.owner()
    assert sorted(it.pid for it in app.workers()) == sorted(
        it.pid for it in found.workers
    )


def test_the_oldest_ready_task_tells_how_long_it_has_waited(app: StemApp) -> None:
    app.enqueue("add", {"a": 1, "b": 2}).result(30)
    app.queue("sums").pause()
    began = time.monotonic_ns()
    app.enqueue("add", {"a": 3, "b": 4})
    app.stats()
    view = RingView(app.directory)

    found = view.sample()
    view.close()

    assert 0 < found.oldest_ready_ns <= time.monotonic_ns() - began
    assert found.queues[0].paused


def test_a_name_is_not_taken_from_a_slot_that_went_on(
    app: StemApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.enqueue("add", {"a": 3, "b": 4}, not_before=600)
    app.stats()
    view = RingView(app.directory)
    monkeypatch.setattr("stem_actor.ring.view._live", stale(view))

    found = view.sample()
    view.close()

    assert found.tasks == ()
    assert found.states["delayed"] == 1


def stale(view: RingView) -> object:
    """Return ``_live`` as it would be if each slot had changed since the copy."""
    from stem_actor.ring import view as module

    true = module._live
    return lambda raw, words: [it._replace(word=it.word + 1) for it in true(raw, words)]


def test_a_rate_is_of_two_samples(directory: RingDirectory) -> None:
    view = RingView(directory)
    before = view.sample()
    view.close()
    counters = {**before.counters, "finished": 50}
    after = replace(before, at_ns=before.at_ns + 500_000_000, counters=counters)

    assert after.rate(before) == 100.0
    assert before.rate(before) == 0.0
    assert before.rate(after) == 0.0  # the ring was made anew in between


def test_a_ring_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="there is no ring at"):
        RingView(RingDirectory(tmp_path / "nowhere", is_anonymous=False))


@pytest.mark.parametrize(
    ("at", "data", "error"),
    [
        (0, b"NORING!!", RingCorrupt),
        (LAYOUT_AT, b"\x63", RingVersionMismatch),
        (ARENA_LEN_AT, b"\xff" * 8, RingCorrupt),
    ],
)
def test_a_file_that_is_no_ring_is_refused(
    directory: RingDirectory, at: int, data: bytes, error: type[RingError]
) -> None:
    with directory.core.open("r+b") as file:
        file.seek(at)
        file.write(data)

    with pytest.raises(error):
        RingView(directory)


def test_a_file_that_was_cut_is_refused(directory: RingDirectory) -> None:
    with directory.core.open("r+b") as file:
        file.truncate(3 * 4096)

    with pytest.raises(RingCorrupt):
        RingView(directory)


def test_the_view_cannot_write(directory: RingDirectory) -> None:
    before = directory.core.read_bytes()
    directory.core.chmod(0o400)

    view = RingView(directory)
    view.sample()
    view.close()

    assert before == directory.core.read_bytes()
