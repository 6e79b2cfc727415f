"""While there is no supervisor: deadlines hold, loops go on, nothing piles up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from stem_actor import StemApp, TaskHandle, as_completed
from stem_actor.actor.host.attachment import attach
from stem_actor.actor.host.connection import Connection
from stem_actor.errors import BrokerUnavailable, QueueFull, ResultTimeout, RingError
from stem_actor.ids import format_id, new_id
from tests.app.conftest import Maker
from tests.app.killing import kill_owner

#: What a wait may be late on a loaded machine; a redial that blocks takes seconds.
LATE_S = 0.5
GAP_S = 0.25
FAULT_S = 1.0


@contextlib.contextmanager
def gone(app: StemApp) -> Iterator[None]:
    """The supervisor is dead, and for now nobody restarts it."""
    guardian = app._host.guardian.pid  # type: ignore[union-attr]
    os.kill(guardian, signal.SIGSTOP)
    try:
        kill_owner(app.directory)
        deadline = time.monotonic() + 10
        while app.directory.owner() is not None:
            assert time.monotonic() < deadline
        yield
    finally:
        os.kill(guardian, signal.SIGCONT)


@contextlib.contextmanager
def stopped(app: StemApp) -> Iterator[None]:
    """The supervisor lives, and does nothing."""
    owner = app.directory.owner() or 0
    os.kill(owner, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(owner, signal.SIGCONT)


@contextlib.contextmanager
def felled(app: StemApp) -> Iterator[None]:
    """The guardian is dead, and all that it kept; the host's calls start another."""
    guardian = app._host.guardian  # type: ignore[union-attr]
    os.kill(guardian.pid, signal.SIGKILL)  # type: ignore[union-attr]
    assert guardian.wait(10)  # type: ignore[union-attr]
    yield


FAULTS = pytest.mark.parametrize("fault", [gone, stopped])
Fault = Callable[[StemApp], contextlib.AbstractContextManager[None]]


# --- deadlines


@FAULTS
def test_every_wait_ends_at_its_own_deadline(
    app: StemApp, fault: Fault, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    handle, stray = pending(app, end), stray_of(app, end)

    with fault(app):
        waits: tuple[Callable[[], bool], ...] = (
            lambda: handle.wait(timeout=0.3).timed_out,
            lambda: stray.wait(timeout=0.3).timed_out,
            lambda: refused(ResultTimeout, lambda: handle.result(timeout=0.3)),
            lambda: refused(
                ResultTimeout, lambda: list(as_completed([handle], timeout=0.3))
            ),
        )
        for wait in waits:
            began = time.monotonic()
            assert wait()
            assert time.monotonic() - began < 0.3 + LATE_S

    end.touch()
    assert handle.result(timeout=30) is None
    assert stray.result(timeout=30) is None


@FAULTS
def test_many_threads_end_at_their_deadlines(
    app: StemApp, fault: Fault, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    handles = [pending(app, end) for _ in range(8)]
    took: list[float] = []

    def wait(handle: TaskHandle[Any]) -> None:
        began = time.monotonic()
        assert handle.wait(timeout=0.3).timed_out
        took.append(time.monotonic() - began)

    with fault(app):
        threads = [threading.Thread(target=wait, args=(each,)) for each in handles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    end.touch()
    assert len(took) == 8
    assert max(took) < 0.3 + LATE_S


@pytest.mark.parametrize(
    ("fault", "error"), [(gone, BrokerUnavailable), (stopped, QueueFull)]
)
def test_an_enqueue_that_finds_no_room_ends_at_its_own_deadline(
    app: StemApp, fault: Fault, error: type[Exception]
) -> None:
    echo = app.registry.get("echo").with_options(enqueue_timeout=0.3)
    with fault(app):
        began = fill(app, error)
        assert time.monotonic() - began < LATE_S

        for large in ("x" * 40_000, "x" * 100_000):
            for enqueue in (
                lambda large=large: echo.enqueue(large),
                lambda large=large: asyncio.run(echo.aenqueue(large)),
            ):
                began = time.monotonic()
                assert refused(error, enqueue)
                assert 0.25 < time.monotonic() - began < 0.3 + LATE_S
        assert list(app.directory.spool.iterdir()) == []

    patient = app.registry.get("echo").with_options(enqueue_timeout=30)
    assert patient.enqueue(1).result(timeout=30) == 1


def test_a_question_ends_at_its_own_deadline(app: StemApp) -> None:
    connection = connection_of(app)

    def ask() -> None:
        refused(BrokerUnavailable, lambda: connection.request("stats", timeout_s=0.5))

    for fault in (stopped, gone):
        with fault(app):
            began = time.monotonic()
            # One after another they would take three times as long.
            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert 0.4 < time.monotonic() - began < 0.5 + LATE_S

    assert app.stats()["slots"] == 1024


def test_a_wait_without_a_deadline_outlasts_the_death_of_everything(
    make_app: Maker,
) -> None:
    ring = f"ring://{make_app.runtime_dir / 'named'}"
    runner, client = make_app(broker=ring), make_app(broker=ring, workers=1)
    values = []
    with runner:
        handle = client.registry.get("add").with_options(countdown=1).enqueue(7)
        assert client.status(handle.id) is not None
        waiter = threading.Thread(target=lambda: values.append(handle.result()))
        waiter.start()

    began = time.monotonic()
    assert handle.wait(timeout=0.3).timed_out
    took = time.monotonic() - began
    with make_app(broker=ring):
        waiter.join(30)
    client.close()

    assert took < 0.3 + LATE_S
    assert values == [7]


# --- event loops


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("fault", [gone, stopped, felled])
def test_an_event_loop_goes_on(
    app: StemApp,
    fault: Fault,
    run: Callable[[Awaitable[Any]], Any],
    tmp_path: Path,
) -> None:
    path = tmp_path / "end"
    handle, stray = pending(app, path), stray_of(app, path)
    echo = app.registry.get("echo").with_options(enqueue_timeout=0.3)
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    async def main() -> tuple[object, object]:
        ticker = asyncio.create_task(tick())
        waiters = [asyncio.ensure_future(each.aresult()) for each in (handle, stray)]
        with fault(app):
            end = time.monotonic() + FAULT_S
            if fault is not felled:
                with contextlib.suppress(QueueFull, BrokerUnavailable):
                    while True:
                        await echo.aenqueue("x" * 40_000)
            while time.monotonic() < end:
                assert (await handle.await_(timeout=0.1)).timed_out
        path.touch()
        values = await asyncio.wait_for(asyncio.gather(*waiters), 30)
        ticker.cancel()
        return values[0], values[1]

    assert run(main()) == (None, None)
    assert longest < GAP_S


def test_a_close_leaves_the_readers_of_other_threads_loops_to_them(
    app: StemApp,
) -> None:
    """The number of the eventfd stays taken until the loop has let it go."""
    connection = attach(app.directory)
    wake = connection._waker.fd
    handle = Pending()
    inside, release = threading.Event(), threading.Event()
    threads: list[int] = []
    errors: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        remove = loop.remove_reader

        def remove_reader(fd: int) -> bool:
            threads.append(threading.get_ident())
            return remove(fd)

        loop.remove_reader = remove_reader  # type: ignore[method-assign,assignment]
        waiting = asyncio.ensure_future(connection.wait_async(handle, None))
        while not connection._waker.has_loops:  # it looks for a moment first
            await asyncio.sleep(0)
        inside.set()
        release.wait(10)
        try:
            await waiting
        except RingError as error:
            errors.append(str(error))
        threads.append(threading.get_ident())

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert inside.wait(10)
    connection.close()
    still_ours = "eventfd" in os.readlink(f"/proc/self/fd/{wake}")
    release.set()
    thread.join(10)

    assert still_ours
    assert set(threads) == {threads[-1]}
    assert len(threads) >= 2
    assert errors == ["the connection to the ring is closed"]
    assert not os.path.exists(f"/proc/self/fd/{wake}")


# --- what a restart leaves


def test_results_that_are_pushed_again_are_dropped(make_app: Maker) -> None:
    with make_app(slots=32_768, arena_bytes=32 << 20) as app:
        for handle in app.registry.get("add").map(range(20_000)):
            handle.result(timeout=60)

        kill_owner(app.directory)
        after = [app.enqueue("add", {"a": n}) for n in range(50)]

        # Replies come in the order of the ends: behind all those that are repeated.
        assert [handle.result(timeout=60) for handle in after] == [*range(50)]
        assert app.stats()["replies"] >= 40_000
        replies = connection_of(app).replies
        assert len(replies._early) == len(replies._ahead) == 0
        assert replies.outstanding == 0


def test_ctrl_c_ends_a_wait_at_once_while_it_redials(tmp_path: Path) -> None:
    script = tmp_path / "host.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, signal, time
            from stem_actor import StemApp
            app = StemApp(workers=1, runtime_dir={str(tmp_path / "rings")!r}, slots=256,
                          arena_bytes=1 << 20)

            @app.task
            def one() -> int:
                return 1

            with app:
                later = one.with_options(countdown=60).enqueue()
                guardian = app._host.guardian.pid
                os.kill(guardian, signal.SIGSTOP)
                os.kill(app.directory.owner(), signal.SIGKILL)
                assert later.wait(timeout=0.3).timed_out
                print("waiting", flush=True)
                try:
                    later.wait()
                except KeyboardInterrupt:
                    print(time.monotonic_ns(), flush=True)
                os.kill(guardian, signal.SIGCONT)
                later.revoke()
            """
        )
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"waiting\n"
        with pytest.raises(subprocess.TimeoutExpired):
            host.wait(0.3)
        sent = time.monotonic_ns()
        host.send_signal(signal.SIGINT)
        caught = int(host.stdout.readline())

        assert host.wait(60) == 0
    assert caught - sent < LATE_S * 1e9


# --- support


class Pending:
    """A handle of no task."""

    task_id = bytes(16)
    is_settled = False

    def settle(self, kind: int, attempt: int, starts: int, payload: bytes) -> None: ...

    def progressed(self, payload: bytes) -> None: ...

    def renamed(self, task_id: bytes) -> None: ...


def connection_of(app: StemApp) -> Connection:
    connection = app.connection
    assert isinstance(connection, Connection)
    return connection


def pending(app: StemApp, end: Path) -> TaskHandle[Any]:
    """A task that ends when *end* is there."""
    return app.registry.get("wait_for").enqueue(str(end))


def stray_of(app: StemApp, end: Path) -> TaskHandle[Any]:
    """A second handle on such a task, which is known to be a stray."""
    task_id = format_id(new_id())
    task = app.registry.get("wait_for").with_options(task_id=task_id)
    task.enqueue(str(end))
    stray = task.enqueue(str(end))
    while not connection_of(app)._strays:
        assert stray.wait(timeout=0.01).timed_out
    return stray


def fill(app: StemApp, error: type[Exception]) -> float:
    """Enqueue until there is no room; return when the last one began."""
    echo = app.registry.get("echo").with_options(on_full="raise")
    began = time.monotonic()
    for size in (40_000, 100, 1):
        with contextlib.suppress(error):
            while True:
                began = time.monotonic()
                echo.enqueue("x" * size)
    return began


def refused(error: type[Exception], call: Callable[[], object]) -> bool:
    with pytest.raises(error):
        call()
    return True
