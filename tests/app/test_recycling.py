"""Workers that are replaced, and what they leave behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from stem_actor import StemApp, TaskContext, WorkerLifecycle, WorkerStopping
from stem_actor.errors import WorkerLost
from tests.app.conftest import Maker

T = TypeVar("T")

MIB = 1 << 20
#: What the handlers take: far more than lies between a worker at rest and the mark.
LARGE = 500 * MIB
_kept: list[bytes] = []


def take_memory(size: int) -> int:
    """Keep *size* bytes that are really there, then stay until somebody ends it."""
    _kept.append(os.urandom(MIB) * (size // MIB))
    while True:
        signal.pause()


def keep_memory(size: int) -> int:
    """Keep *size* bytes that are really there, and return."""
    _kept.append(os.urandom(MIB) * (size // MIB))
    return os.getpid()


def abandon(count: int) -> int:
    """Leave *count* ended children that nobody waits for."""
    for _ in range(count):
        if os.fork() == 0:
            os._exit(0)
    return os.getpid()


def warn(context: TaskContext, text: str) -> None:
    """Log, but not at the first attempt of a task that may have another."""
    if context.name == "warn_later" and context.attempt == 0:
        raise ConnectionError
    logging.getLogger("shop").warning(text)


def test_a_handler_above_the_hard_mark_is_ended_and_not_started_for_ever(
    make_app: Maker,
) -> None:
    app = make_app(workers=1, lifecycle=WorkerLifecycle(hard_memory=_mark()))
    app.task(name="take_memory")(take_memory)
    with app:
        with pytest.raises(WorkerLost) as caught:
            app.enqueue("take_memory", {"size": LARGE}).result(timeout=30)
        after = app.enqueue("add", {"a": 1}).result(timeout=10)

    assert caught.value.error.meta["reason"] == "memory"
    assert after == 1


def test_an_idle_worker_above_the_soft_mark_is_replaced(make_app: Maker) -> None:
    app = make_app(workers=1, lifecycle=WorkerLifecycle(soft_memory=_mark()))
    app.task(name="keep_memory")(keep_memory)
    with app, app.events(types=[WorkerStopping]) as stream:
        large = app.registry.get("keep_memory").enqueue(LARGE).result(timeout=20)

        after = _until(lambda: _other_pid(app, large))
        told = stream.get(20)

    assert after is not None
    assert isinstance(told, WorkerStopping)
    assert (told.pid, told.reason) == (large, "memory")


def test_a_worker_with_more_than_a_hundred_zombies_is_replaced(
    make_app: Maker,
) -> None:
    app = make_app(workers=1)
    app.task(name="abandon")(abandon)
    with app:
        careless = app.registry.get("abandon").enqueue(101).result(timeout=20)

        after = _until(lambda: _other_pid(app, careless))

    assert after is not None


def test_killed_workers_leave_no_zombie(app: StemApp) -> None:
    host = app._host
    assert host is not None
    assert host.guardian is not None
    killed = []
    for _ in range(6):
        pid = _pid(app)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    _pid(app)

    gone = _until(lambda: not any(_is_there(pid) for pid in killed))
    assert gone, [pid for pid in killed if _is_there(pid)]
    assert len(set(killed)) == 6
    guardian = host.guardian.pid
    assert _until(lambda: not _zombies_below(guardian))  # a birth has one, briefly


def _zombies_below(pid: int) -> list[int]:
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.parametrize("with_async", [False, True])
def test_shutdown_hooks_run_when_the_app_stops(
    make_app: Maker, tmp_path: Path, *, with_async: bool
) -> None:
    app = make_app(workers=2, with_async=with_async)

    @app.worker_init
    def come() -> None:
        (tmp_path / f"come-{os.getpid()}").touch()

    @app.worker_shutdown
    def leave() -> None:
        (tmp_path / f"leave-{os.getpid()}").touch()

    with app:
        for n in range(20):
            app.enqueue("add", {"a": n}).result(timeout=20)

    came = {path.name.removeprefix("come-") for path in tmp_path.glob("come-*")}
    left = {path.name.removeprefix("leave-") for path in tmp_path.glob("leave-*")}
    assert len(came) >= 2
    assert left == came


def test_a_shutdown_hook_runs_in_a_worker_that_is_recycled(
    make_app: Maker, tmp_path: Path
) -> None:
    app = make_app(workers=1, lifecycle=WorkerLifecycle(max_tasks=1))

    @app.worker_shutdown
    def leave() -> None:
        (tmp_path / f"leave-{os.getpid()}").touch()

    with app:
        first = _pid(app)

        assert _until((tmp_path / f"leave-{first}").exists)


def test_what_a_handler_logs_names_its_task(
    make_app: Maker, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest has given the root logger handlers, and workers respect a user's own.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    app = make_app(workers=1)
    app.task(name="warn")(warn)
    app.task(name="warn_later", max_retries=1)(warn)
    with app:
        first = app.enqueue("warn", {"text": "stock is low"})
        first.result(timeout=20)
        second = app.enqueue("warn_later", {"text": "again"})
        second.result(timeout=20)

    lines = capfd.readouterr().err.splitlines()
    assert f"WARNING shop [warn {first.id} attempt 0]: stock is low" in lines
    assert f"WARNING shop [warn_later {second.id} attempt 1]: again" in lines


def _mark() -> int:
    """A mark in bytes above what a copy of this process has when it is at rest."""
    return int(psutil.Process().memory_info().rss) + LARGE // 3


def _pid(app: StemApp) -> int:
    return int(app.registry.get("pid").enqueue().result(timeout=20))


def _other_pid(app: StemApp, pid: int) -> int | None:
    """The pid of the worker that serves now, if it is another than *pid*."""
    now = _pid(app)
    return now if now != pid else None


def _is_there(pid: int) -> bool:
    """Whether the process is in the table, be it as a zombie."""
    return Path(f"/proc/{pid}").exists()


def _until(look: Callable[[], T]) -> T:
    """Return the first true answer of *look*, or its last one after ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        answer = look()
        if answer or time.monotonic() > deadline:
            return answer
        os.sched_yield()
