"""Stopping loses nothing and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from stem_actor.errors import RingError, RingInUse, TaskCancelledError
from tests.app.conftest import Maker


def test_stop_finishes_what_runs_and_cancels_what_has_not_started(
    make_app: Maker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    app = make_app(workers=1)
    app.start()
    running = app.enqueue("nap", {"seconds": 0.3})
    later = app.registry.get("add").with_options(countdown=60).enqueue(1)
    while app.status(running.id).state == "queued":  # type: ignore[union-attr]
        os.sched_yield()

    app.stop(deadline=5)

    assert running.result(timeout=1) == "rested"
    with pytest.raises(TaskCancelledError):
        later.result(timeout=1)
    assert not go.exists()


def test_nothing_of_a_stopped_app_is_left(make_app: Maker) -> None:
    fds = _fds()
    app = make_app()
    app.start()
    pids = [worker.pid for worker in app.workers() if worker.pid]
    pids += [app._host.guardian.pid, app.directory.owner() or 0]
    path = app.directory.path
    app.enqueue("add", {"a": 1}).result(timeout=10)

    app.stop(deadline=5)

    assert [pid for pid in pids if _is_alive(pid)] == []
    assert not path.exists()
    assert _fds() <= fds


def test_a_named_ring_resumes_its_tasks_at_the_next_start(
    make_app: Maker, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    first = make_app(broker="ring://resumed")
    first.start()
    delayed = first.registry.get("journal").with_options(countdown=0.8)
    task_id = delayed.enqueue(str(path)).id
    first.stop(deadline=1)

    with make_app(broker="ring://resumed") as second:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            status = second.status(task_id)
            if status is not None and status.is_terminal:
                break
            os.sched_yield()

    assert status is not None
    assert status.state == "succeeded"
    assert len(path.read_text().splitlines()) == 1


def test_a_second_start_on_a_ring_is_refused_by_pid(make_app: Maker) -> None:
    with make_app(broker="ring://single") as first:
        second = make_app(broker="ring://single")

        with pytest.raises(RingInUse) as caught:
            second.start()

        assert caught.value.pid == first.directory.owner()


def test_a_host_that_is_killed_takes_everything_along(tmp_path: Path) -> None:
    script = tmp_path / "host.py"
    rings = tmp_path / "rings"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, sys, signal
            from stem_actor import StemApp
            app = StemApp(workers=2, runtime_dir={str(rings)!r}, slots=256,
                          arena_bytes=1 << 20)

            @app.task
            def nap() -> None:
                signal.pause()

            @app.task
            def one() -> int:
                return 1

            app.start()
            one.enqueue().result(timeout=20)
            nap.enqueue()
            pids = [w.pid for w in app.workers() if w.pid]
            pids += [app._host.guardian.pid, app.directory.owner()]
            print(*pids, flush=True)
            signal.pause()
            """
        )
    )
    host = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    with host.stdout:
        pids = [int(word) for word in host.stdout.readline().split()]

    host.send_signal(signal.SIGKILL)
    host.wait(10)

    assert len(pids) >= 3
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(map(_is_alive, pids)):
        os.sched_yield()
    assert [pid for pid in pids if _is_alive(pid)] == []
    assert list(rings.iterdir()) == []


def test_an_unwritable_runtime_directory_is_named(make_app: Maker) -> None:
    app = make_app(runtime_dir="/proc/nowhere")

    with pytest.raises(RingError, match="/proc/nowhere"):
        app.start()


def test_an_arena_that_does_not_fit_says_how_much_there_is(tmp_path: Path) -> None:
    rings = tmp_path / "rings"
    program = f"""
        import resource
        from stem_actor import StemApp
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
        try:
            StemApp(workers=1, slots=1024, arena_bytes=4 << 20,
                    runtime_dir={str(rings)!r}).start()
        except Exception as error:
            print(type(error).__name__, error)
        """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "a file may have 3 MiB here, and" in done.stdout, done
    assert "core.seg needs 4 MiB; raise RLIMIT_FSIZE" in done.stdout
    assert list(rings.iterdir()) == []


def test_a_child_of_the_host_gets_an_error_and_the_host_goes_on(
    make_app: Maker,
) -> None:
    with make_app() as app:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                app.enqueue("add", {"a": 1})
            except RingError:
                code = 0
            finally:
                os._exit(code)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert app.enqueue("add", {"a": 1}).result(timeout=10) == 1


def _fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def _is_alive(pid: int) -> bool:
    """Whether the process runs; init may take its time to reap what has ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
