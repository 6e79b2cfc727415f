"""F7 and F8: memory ends, or a worker leaves hundreds of children."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stem_actor import StemApp, TaskHandle, WorkerLifecycle
from stem_actor.actor.supervisor.oom import OomWatch
from stem_actor.errors import TaskFailedError, WorkerLost
from tests.fault.chaos import Tree
from tests.fault.conftest import Footprint, Place
from tests.fault.journal import Mark, read_journal
from tests.fault.scarcity import MIB, MemoryGroup, add_handlers
from tests.fault.soak import wait_until

LARGE = 200 * MIB


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    made = MemoryGroup(f"stem-test-{os.getpid()}")
    try:
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize("name", ["as", "data"])
def test_a_handler_at_its_memory_limit_fails_and_its_worker_lives(
    place: Place, name: str
) -> None:
    with add_handlers(place.app()) as app:
        before = Footprint.settled(app)
        pids = set(Tree(app.directory).workers())
        greedy = app.enqueue(
            "gorge", {"name": name, "room": 64 * MIB, "size": 2 * LARGE}
        )
        others = [app.enqueue("echo", {"number": n}) for n in range(50)]

        with pytest.raises(TaskFailedError) as caught:
            greedy.result(20)

        assert caught.value.error.type == "MemoryError"
        assert [it.result(20) for it in others] == list(range(50))
        stats = app.stats()
        assert (stats["crashes"], stats["failed"]) == (0, 1)
        assert set(Tree(app.directory).workers()) == pids, "no worker had to die"
        assert wait_until(lambda: before.is_that_of(app), 10)


def test_a_worker_above_the_hard_mark_dies_alone(place: Place) -> None:
    mark = int(psutil.Process().memory_info().rss) + LARGE // 2
    app = place.app(lifecycle=WorkerLifecycle(hard_memory=mark))
    with add_handlers(app):
        before = Footprint.settled(app)
        supervisor = app.directory.owner()

        hungry = app.enqueue("swallow", _args(place, size=LARGE))
        neighbours = _busy_until(app, hungry)
        with pytest.raises(WorkerLost) as caught:
            hungry.result(0)

        assert caught.value.error.meta["reason"] == "memory"
        _died_thrice_and_alone(app, place, hungry, neighbours)
        assert app.directory.owner() == supervisor
        assert wait_until(lambda: before.is_that_of(app), 10)


def test_a_worker_that_the_kernel_kills_for_memory_is_told_from_other_crashes(
    place: Place, group: MemoryGroup
) -> None:
    app = add_handlers(place.app())
    with group.entered():
        app.start()
    try:
        supervisor = app.directory.owner()
        plain = app.enqueue("swallow", _args(place, size=0))
        for number in range(3):
            os.kill(_start(place, plain, number), signal.SIGKILL)
        with pytest.raises(WorkerLost) as not_oom:
            plain.result(20)
        before = Footprint.settled(app)
        crashes = app.stats()["crashes"]
        group.bound(LARGE // 2)

        hungry = app.enqueue("swallow", _args(place, size=LARGE))
        neighbours = _busy_until(app, hungry)
        with pytest.raises(WorkerLost) as caught:
            hungry.result(0)

        assert not not_oom.value.oom
        assert caught.value.oom
        assert caught.value.signal == signal.SIGKILL
        assert caught.value.error.meta["reason"] == "crashed"
        assert "out of memory" in str(caught.value)
        _died_thrice_and_alone(app, place, hungry, neighbours, crashes)
        assert app.directory.owner() == supervisor
        assert wait_until(lambda: before.is_that_of(app), 10)
    finally:
        app.stop()


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/a/b", "a/b/memory.events"),
        ("4:memory:/a/b\n0::/", "memory/a/b/memory.oom_control"),
        ("4:cpu,memory:/gone\n0::/", "memory/memory.oom_control"),
    ],
)
def test_the_kernels_count_is_found_in_either_hierarchy(
    tmp_path: Path, groups: str, file: str
) -> None:
    membership, counter = tmp_path / "cgroup", tmp_path / "mounts" / file
    membership.write_text(f"{groups}\n")
    counter.parent.mkdir(parents=True)
    counter.write_text("oom 9\noom_kill 2\n")
    watch = OomWatch(tmp_path / "mounts", membership)

    quiet = watch.has_struck()
    counter.write_text("oom 9\noom_kill 3\n")
    struck = watch.has_struck()
    counter.rename(counter.with_suffix(".away"))
    unreadable = watch.has_struck()
    counter.with_suffix(".away").rename(counter)

    assert (quiet, struck, unreadable) == (False, True, False)
    assert not watch.has_struck(), "what cannot be read for a while is no news later"


def test_two_hundred_children_of_a_dead_worker_die_with_it(place: Place) -> None:
    path = place.journal / "brood"
    with add_handlers(place.app()) as app:
        before = Footprint.settled(app)
        mother = app.enqueue("brood", {"path": str(path), "count": 200})
        assert wait_until(path.exists, 20)
        first = _pids_in(path)

        began = time.monotonic()
        assert wait_until(lambda: not any(map(psutil.pid_exists, first)), 10)
        took = time.monotonic() - began
        with pytest.raises(WorkerLost):
            mother.result(30)
        after = app.enqueue("echo", {"number": 7}).result(10)

        assert len(set(first)) == 200
        assert took < 5, "the figure is 1 s, on a machine with nothing else to do"
        assert after == 7
        assert wait_until(lambda: not any(map(psutil.pid_exists, _pids_in(path))), 10)
        assert wait_until(lambda: before.is_that_of(app), 20)


def _args(place: Place, **fields: object) -> dict[str, Any]:
    return {"journal": str(place.journal), **fields}


def _start(place: Place, handle: TaskHandle[Any], number: int) -> int:
    """The pid of start *number*, counted from 0; waits for it."""

    def pids() -> list[int]:
        lines = [it for it in read_journal(place.journal) if it.task_id == handle.id]
        return [it.pid for it in lines if it.mark is Mark.START]

    assert wait_until(lambda: len(pids()) > number, 20), "it has not started"
    return pids()[number]


def _busy_until(app: StemApp, last: TaskHandle[Any]) -> list[TaskHandle[Any]]:
    """Keep the other worker at work until *last* has ended."""
    handles: list[TaskHandle[Any]] = []
    deadline = time.monotonic() + 60
    while not last.done:
        assert time.monotonic() < deadline
        handles += [app.enqueue("echo", {"number": n}) for n in range(20)]
        handles[-1].result(20)
    return handles


def _died_thrice_and_alone(
    app: StemApp,
    place: Place,
    hungry: TaskHandle[Any],
    neighbours: list[TaskHandle[Any]],
    crashes_before: int = 0,
) -> None:
    """Its own three starts are all that the deaths have cost."""
    assert [it.result(20) for it in neighbours] == [
        n % 20 for n in range(len(neighbours))
    ]
    statuses = [it.wait(0).status for it in (hungry, *neighbours)]
    starts = [status.starts for status in statuses if status is not None]
    assert starts == [3] + [1] * len(neighbours)
    lines = [it for it in read_journal(place.journal) if it.task_id == hungry.id]
    assert [it.mark for it in lines] == [Mark.START] * 3
    stats = app.stats()
    assert (stats["crashes"] - crashes_before, stats["collaterals"]) == (3, 0)
    assert stats["deadLetters"] == stats["failed"]


def _pids_in(path: Path) -> list[int]:
    text = path.read_bytes().decode()
    return [int(text[at : at + 8]) for at in range(0, len(text), 8)]
