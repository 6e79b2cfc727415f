"""Leaving a ring: by a child, while others use it, by force; and strays."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from stem_actor import StemApp
from stem_actor.actor.host.connection import Connection
from stem_actor.errors import QueueFull, RingError, StemError
from stem_actor.ids import format_id, new_id
from stem_actor.ring.spool import Spool
from tests.app.conftest import Maker

_LARGE = "x" * 100_000


def test_a_child_that_leaves_the_block_leaves_the_ring_to_its_parent(
    make_app: Maker,
) -> None:
    app = make_app()
    child = 0
    try:
        with app:
            child = os.fork()
            if child:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                assert app.enqueue("add", {"a": 1}).result(timeout=10) == 1
    finally:
        if not child:
            os._exit(int(app.is_started))


@pytest.mark.parametrize("way", ["stop", "close"])
def test_a_child_that_ends_the_app_ends_nothing(make_app: Maker, way: str) -> None:
    with make_app() as app:
        before = threading.Thread(target=_hold, args=(app,), daemon=True)
        before.start()  # a lock that a thread of the parent holds stops no child
        while app._lock.acquire(blocking=False):
            app._lock.release()
        child = os.fork()
        if not child:
            getattr(app, way)()
            os._exit(int(app.is_started))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        app._release.set()  # type: ignore[attr-defined]
        before.join(10)

        assert app.enqueue("add", {"a": 2}).result(timeout=10) == 2


def test_threads_that_enqueue_and_wait_survive_a_close(tmp_path: Path) -> None:
    """In a process of its own: what must not happen is its death by SIGSEGV."""
    script = tmp_path / "host.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import threading
            from stem_actor import StemApp, StemError
            from stem_actor.actor.host.attachment import attach

            app = StemApp(workers=1, runtime_dir={str(tmp_path / "rings")!r},
                          slots=256, arena_bytes=1 << 20)

            @app.task
            def one() -> int:
                return 1

            def use(connection, call, started):
                started.set()
                try:
                    while True:
                        call()
                except StemError as error:
                    assert "closed" in str(error), error

            with app:
                lane = app._publisher.lane(one)
                for _ in range(15):
                    connection = attach(app.directory)
                    head = lane._packed_head
                    calls = (
                        lambda: connection.ring.submit(head, b"\\x80"),
                        lambda: connection.ring.wait(10**7, spin_ns=10**7),
                        connection.replies.drain_if_free,
                        lambda: connection.request("stats"),
                    )
                    threads = []
                    for call in calls:
                        started = threading.Event()
                        threads.append(threading.Thread(
                            target=use, args=(connection, call, started)))
                        threads[-1].start()
                        started.wait(10)
                    connection.close()
                    for thread in threads:
                        thread.join(10)
                        assert not thread.is_alive()
            """
        )
    )

    done = _run(script)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_an_app_that_is_not_closed_ends_with_its_program(tmp_path: Path) -> None:
    script = tmp_path / "host.py"
    rings = tmp_path / "rings"
    script.write_text(
        textwrap.dedent(
            f"""
            import threading
            from stem_actor import StemApp
            app = StemApp(workers=1, runtime_dir={str(rings)!r}, slots=256,
                          arena_bytes=1 << 20)

            @app.task
            def one() -> int:
                return 1

            app.start()
            one.enqueue().result(timeout=20)
            later = one.with_options(countdown=60).enqueue()
            threading.Thread(target=later.wait, daemon=True).start()
            """
        )
    )

    done = _run(script)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_stop_that_is_interrupted_is_ended_by_the_close(
    make_app: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(workers=1)
    app.start()
    host = app._host
    assert host is not None
    assert host.connection is not None
    pids = [worker.pid for worker in app.workers() if worker.pid]
    pids += [host.guardian.pid, app.directory.owner() or 0]  # type: ignore[union-attr]
    running = app.enqueue("nap", {"seconds": 60})
    while app.status(running.id).state == "queued":  # type: ignore[union-attr]
        os.sched_yield()

    def interrupt(op: str, **_fields: object) -> dict[str, Any]:
        assert op == "stop"
        raise KeyboardInterrupt

    monkeypatch.setattr(host.connection, "request", interrupt)
    with pytest.raises(KeyboardInterrupt):
        app.__exit__(None, None, None)

    assert not app.is_started
    assert [pid for pid in pids if _is_alive(pid)] == []
    monkeypatch.undo()
    with app:  # nothing of the interrupted stop is left over
        assert app.enqueue("add", {"a": 3}).result(timeout=10) == 3


def test_the_status_of_a_large_result_holds_it(app: StemApp) -> None:
    handle = app.enqueue("echo", {"value": _LARGE})
    handle.result(timeout=10)

    status = app.status(handle.id)

    assert status is not None
    assert status.payload == _LARGE


def test_a_stray_gets_a_large_result(app: StemApp) -> None:
    task_id = format_id(new_id())
    echo = app.registry.get("echo").with_options(task_id=task_id, countdown=0.2)
    first, second = echo.enqueue(_LARGE), echo.enqueue(_LARGE)

    assert second.result(timeout=10) == _LARGE
    assert first.result(timeout=10) == _LARGE


def test_a_second_enqueue_under_an_id_keeps_the_arguments_of_the_first(
    app: StemApp,
) -> None:
    task_id = format_id(new_id())
    echo = app.registry.get("echo").with_options(task_id=task_id, countdown=0.2)
    first = echo.enqueue(_LARGE)
    second = echo.enqueue(_LARGE.upper())

    assert first.result(timeout=10) == _LARGE
    assert second.result(timeout=10) == _LARGE


def test_a_stray_is_kept_until_it_is_settled(
    app: StemApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = format_id(new_id())
    add = app.registry.get("add").with_options(task_id=task_id, countdown=0.2)
    first, second = add.enqueue(1), add.enqueue(1)

    connection = app.connection
    assert isinstance(connection, Connection)
    with monkeypatch.context() as patch:
        patch.setattr(
            connection._line, "exchange", lambda _: {"error": "E", "message": "not now"}
        )
        with pytest.raises(StemError, match="not now"):
            second.result(timeout=10)

    assert second.result(timeout=10) == 1
    assert first.result(timeout=10) == 1


def test_large_arguments_that_find_no_room_leave_no_file(
    make_app: Maker,
) -> None:
    with make_app(workers=1, slots=64) as app:
        echo = app.registry.get("echo").with_options(on_full="raise", countdown=60)
        with suppress(QueueFull):
            while True:
                echo.enqueue("small")

        with pytest.raises(QueueFull):
            echo.enqueue(_LARGE)

        assert list(app.directory.spool.iterdir()) == []
        app.close()


def test_an_enqueue_waits_until_large_arguments_have_left_the_spool(
    make_app: Maker, tmp_path: Path
) -> None:
    """They leave with the end of their task, however long its result is kept."""
    end = tmp_path / "end"
    with make_app(workers=1) as app:
        connection, echo = app.connection, app.registry.get("echo")
        assert isinstance(connection, Connection)
        connection._spool = Spool(app.directory.spool, 1 << 20, quota=250_000)
        brief, patient = (echo.with_options(enqueue_timeout=s) for s in (0.1, 30))
        app.enqueue("wait_for", {"path": str(end)})
        handles = [echo.enqueue(_LARGE) for _ in range(2)]

        with pytest.raises(QueueFull, match="bytes of large arguments"):
            brief.enqueue(_LARGE)
        with pytest.raises(QueueFull, match="bytes of large arguments"):
            asyncio.run(brief.aenqueue(_LARGE))
        threading.Timer(0.2, end.touch).start()
        handles += [patient.enqueue(_LARGE) for _ in range(2)]
        handles += [asyncio.run(patient.aenqueue(_LARGE)) for _ in range(4)]

        assert [handle.result(timeout=30) for handle in handles] == [_LARGE] * 8


def test_a_refused_attachment_leaves_no_descriptor(app: StemApp) -> None:
    """The eventfd that came with it is closed by the supervisor."""
    connection = app.connection
    assert isinstance(connection, Connection)
    line = connection._line._socket
    assert line is not None
    owner = app.directory.owner()
    request = msgspec.msgpack.encode({"seq": 0, "op": "attach"})
    wake_fd = os.eventfd(0, os.EFD_CLOEXEC)
    before = _eventfds(owner)

    for _ in range(5):
        socket.send_fds(line, [request], [wake_fd])
        assert select.select([line], [], [], 10)[0]
        packet, fds, _, _ = socket.recv_fds(line, 4096, 3)
        assert msgspec.msgpack.decode(packet)["error"] == "StemError"
        assert fds == []
    app.stats()  # answered after the last of them was let go

    assert _eventfds(owner) == before
    os.close(wake_fd)


def test_tasks_may_be_registered_after_a_start_that_failed(make_app: Maker) -> None:
    app = make_app(runtime_dir="/proc/nowhere")
    with pytest.raises(RingError):
        app.start()

    app.task(name="late")(lambda: 1)

    assert "late" in app.registry


def test_tasks_may_be_registered_between_two_starts(make_app: Maker) -> None:
    app = make_app(workers=1)
    with app, pytest.raises(StemError, match="after the start"):
        app.task(name="late")(_two)

    app.task(name="late")(_two)

    with app:
        assert app.enqueue("late").result(timeout=10) == 2


def _run(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _two() -> int:
    return 2


def _eventfds(pid: int | None) -> int:
    links = Path(f"/proc/{pid}/fd").iterdir()
    return sum("eventfd" in str(link.readlink()) for link in links)


def _hold(app: StemApp) -> None:
    release = threading.Event()
    with app._lock:
        app._release = release  # type: ignore[attr-defined]
        release.wait(30)


def _is_alive(pid: int) -> bool:
    """Whether the process runs; init may take its time to reap what has ended."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            return False
    return True
