"""Uniqueness with real processes: one task for each key, freed by every ending."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp, TaskEnqueueOptions, TaskHandle, TaskState
from stem_actor.errors import (
    TaskCancelledError,
    TaskExpired,
    TaskFailedError,
    WorkerLost,
)
from stem_actor.ids import format_id
from tests.app.conftest import Maker
from tests.app.until import until

UNIQUE = TaskEnqueueOptions(unique=True)


def enqueue(
    app: StemApp, name: str, options: TaskEnqueueOptions = UNIQUE, **args: object
) -> TaskHandle[object]:
    """Enqueue a unique task."""
    return app.enqueue(name, args, enqueue_options=options)


def test_a_second_enqueue_stands_for_the_first_task(
    app: StemApp, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    first = enqueue(app, "wait_for", path=str(end))

    second, third = (enqueue(app, "wait_for", path=str(end)) for _ in range(2))
    assert second.id == third.id == first.id
    other = enqueue(app, "wait_for", path=str(tmp_path / "other"))
    assert other.id != first.id
    end.touch()

    assert second.wait(timeout=20).status.starts == 1  # type: ignore[union-attr]
    assert first.result(timeout=20) is third.result(timeout=20) is None
    status = app.status(first.id)
    assert status is not None
    assert status.meta["stem.unique.duplicateCount"] == 2
    duplicates: Any = status.meta["stem.unique.duplicates"]
    assert [set(it) for it in duplicates] == [{"taskId", "timestamp"}] * 2
    (tmp_path / "other").touch()


def test_duplicates_inside_one_call_are_one_task(app: StemApp, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    task = app.registry.get("journal").with_options(unique=True)
    calls = [task.build_call(str(path), 0.3) for _ in range(20)]

    handles = app.enqueue_many(calls)

    assert {handle.result(timeout=20) for handle in handles} == {0}
    assert len({handle.id for handle in handles}) == 1
    assert len(path.read_text().splitlines()) == 1


def test_a_coroutine_that_waits_for_a_duplicate_gets_its_result(app: StemApp) -> None:
    async def run() -> list[object]:
        task = app.registry.get("nap").with_options(unique=True)
        handles = [await task.aenqueue(0.2) for _ in range(5)]
        results = await asyncio.gather(*handles)
        return [*results, len({handle.id for handle in handles})]

    assert asyncio.run(run()) == ["rested"] * 5 + [1]


def test_duplicates_from_two_processes_at_once_are_one_task(
    make_app: Maker, tmp_path: Path
) -> None:
    """Both wait for one file, so that they enqueue at the same time."""
    path, go = tmp_path / "journal", tmp_path / "go"
    program = textwrap.dedent(f"""
        import pathlib, sys
        from stem_actor import StemApp, TaskEnqueueOptions
        from tests.app import jobs
        app = StemApp(broker="ring://both", runtime_dir={str(make_app.runtime_dir)!r})
        jobs.add_jobs(app)
        options = TaskEnqueueOptions(unique=True)
        args = {{"path": {str(path)!r}, "seconds": 1.0}}
        print("ready", flush=True)
        while not pathlib.Path({str(go)!r}).exists():
            pass
        handles = [
            app.enqueue("journal", args, enqueue_options=options) for _ in range(50)
        ]
        print(*{{handle.id for handle in handles}}, flush=True)
        app.close()
    """)
    with make_app(broker="ring://both"):
        sides = [
            subprocess.Popen(
                [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        for side in sides:
            assert side.stdout is not None
            assert side.stdout.readline() == "ready\n"
        go.touch()
        told = [side.communicate(timeout=60)[0].split() for side in sides]

    assert len(told[0]) == 1
    assert told[0] == told[1]
    assert len(path.read_text().splitlines()) == 1


# --- the key is free again


def fails(app: StemApp) -> TaskHandle[object]:
    handle = enqueue(app, "fail", message="no")
    with pytest.raises(TaskFailedError):
        handle.result(timeout=20)
    return enqueue(app, "fail", message="no")


def crashes(app: StemApp) -> TaskHandle[object]:
    handle = enqueue(app, "die", number=int(signal.SIGKILL))
    with pytest.raises(WorkerLost):
        handle.result(timeout=30)
    return enqueue(app, "die", number=int(signal.SIGKILL))


def succeeds(app: StemApp) -> TaskHandle[object]:
    enqueue(app, "add", a=1).result(timeout=20)
    return enqueue(app, "add", a=1)


def is_revoked(app: StemApp) -> TaskHandle[object]:
    delayed = TaskEnqueueOptions(unique=True, countdown=60)
    handle = enqueue(app, "add", delayed, a=1)
    assert enqueue(app, "add", a=1).revoke(), "a duplicate stands for the first"
    with pytest.raises(TaskCancelledError):
        handle.result(timeout=20)
    return enqueue(app, "add", a=1)


def is_stopped(app: StemApp) -> TaskHandle[object]:
    handle = enqueue(app, "nap", seconds=60)
    until(lambda: (it := handle.status()) and it.state is TaskState.RUNNING)
    assert handle.revoke(terminate=True)
    with pytest.raises(TaskCancelledError):
        handle.result(timeout=20)
    return enqueue(app, "nap", TaskEnqueueOptions(unique=True), seconds=60)


def expires(app: StemApp) -> TaskHandle[object]:
    late = TaskEnqueueOptions(unique=True, countdown=60, expires=0.05)
    with pytest.raises(TaskExpired):
        enqueue(app, "add", late, a=1).result(timeout=20)
    return enqueue(app, "add", a=1)


def is_purged(app: StemApp) -> TaskHandle[object]:
    delayed = TaskEnqueueOptions(unique=True, countdown=60)
    handle = enqueue(app, "add", delayed, a=1)
    assert handle.status() is not None
    assert app.queue("default").purge() == 1
    with pytest.raises(TaskCancelledError):
        handle.result(timeout=20)
    return enqueue(app, "add", a=1)


def lapses(app: StemApp) -> TaskHandle[object]:
    held = TaskEnqueueOptions(unique=True, unique_for=0.2, countdown=60)
    handle = enqueue(app, "add", held, a=1)
    return until(
        lambda: it if (it := enqueue(app, "add", a=1)).id != handle.id else None
    )


@pytest.mark.parametrize(
    "end",
    [succeeds, fails, crashes, is_revoked, is_stopped, expires, is_purged, lapses],
)
def test_an_ending_frees_the_key(
    app: StemApp, end: Callable[[StemApp], TaskHandle[object]]
) -> None:
    again = end(app)

    own_id = format_id(again.task_id)
    assert again.id == own_id, "it stands for another task"
    status = app.status(own_id)
    assert status is not None
    assert "stem.unique.duplicateCount" not in status.meta
    again.revoke(terminate=True)


def test_a_ring_that_has_gone_holds_no_key(make_app: Maker) -> None:
    for _ in range(2):
        with make_app() as app:
            assert enqueue(app, "add", a=1).result(timeout=20) == 1
            handle = enqueue(
                app, "add", TaskEnqueueOptions(unique=True, countdown=60), a=2
            )
            assert handle.status() is not None


def test_a_named_ring_that_starts_again_holds_its_keys(make_app: Maker) -> None:
    delayed = TaskEnqueueOptions(unique=True, countdown=60)
    with make_app(broker="ring://kept") as app:
        first = enqueue(app, "add", delayed, a=1).id

    with make_app(broker="ring://kept") as app:
        assert enqueue(app, "add", delayed, a=1).id == first
        app.queue("default").purge()


# --- deaths


def test_a_killed_supervisor_forgets_no_key(app: StemApp, tmp_path: Path) -> None:
    end = tmp_path / "end"
    first = enqueue(app, "wait_for", path=str(end))
    double = enqueue(app, "wait_for", path=str(end))
    assert double.id == first.id

    os.kill(app.directory.owner() or 0, signal.SIGKILL)

    third = enqueue(app, "wait_for", path=str(end))
    assert third.id == first.id
    end.touch()
    assert [it.result(timeout=30) for it in (first, double, third)] == [None] * 3


def test_a_handle_that_never_asked_waits_for_the_right_task(
    app: StemApp, tmp_path: Path
) -> None:
    """Its answer is lost with nobody: it lies in the reply ring, whoever dies."""
    end = tmp_path / "end"
    enqueue(app, "wait_for", path=str(end))
    doubles = [enqueue(app, "wait_for", path=str(end)) for _ in range(50)]

    os.kill(app.directory.owner() or 0, signal.SIGKILL)
    end.touch()

    assert [double.result(timeout=30) for double in doubles] == [None] * 50
