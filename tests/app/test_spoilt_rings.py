"""A producer whose ring is corrupt is told, gets another, and finds its tasks again."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stem_actor import StemApp, TaskHandle
from stem_actor.actor.host.attachment import attach
from stem_actor.actor.host.connection import Connection
from stem_actor.errors import BrokerUnavailable, TaskCancelledError
from stem_actor.ring.native import Status
from stem_actor.ring.record import TaskHead
from tests.app.conftest import Maker
from tests.app.until import until

#: Where the tail of the submit ring stands in a ring file, ``native/sa_layout.h``.
_TAIL_AT, _BYTES_AT, _BYTES = 128, 4096, 1 << 20
LATE_S = 1.0


def tail_of(connection: Connection) -> int:
    """Where this process writes its next record."""
    with ring_file(connection).open("rb") as file:
        file.seek(_TAIL_AT)
        return int.from_bytes(file.read(8), "little")


def overwrite(connection: Connection, at: int) -> None:
    """Put what is no record *at* a position, as a wild write of this process would."""
    with ring_file(connection).open("r+b") as file:
        file.seek(_BYTES_AT + at % _BYTES)
        file.write(b"\xee" * 64)


def spoil(connection: Connection) -> None:
    """
    Publish such bytes until the supervisor has read them.

    Threads that submit meanwhile may put the tail right again before it looks.
    """
    path = ring_file(connection)
    bad = path.with_suffix(".bad")

    def try_once() -> bool:
        with suppress(FileNotFoundError), path.open("r+b") as file:
            file.seek(_TAIL_AT)
            tail = int.from_bytes(file.read(8), "little")
            file.seek(_BYTES_AT + tail % _BYTES)
            file.write(b"\xee" * 64)
            file.seek(_TAIL_AT)
            file.write((tail + 64).to_bytes(8, "little"))
        return bad.exists()

    until(try_once)


def ring_file(connection: Connection) -> Path:
    number = connection.ring.ring_id
    [path] = connection.directory.path.glob(f"p-{number:010d}-*.ring")
    return path


def connection_of(app: StemApp) -> Connection:
    assert isinstance(app.connection, Connection)
    return app.connection


@contextmanager
def watcher(make_app: Maker, app: StemApp) -> Iterator[StemApp]:
    """Another producer of the ring: what it asks tells the first one nothing."""
    other = make_app(broker=f"ring://{app.directory.path}")
    try:
        yield other
    finally:
        other.close()


def stat(app: StemApp, name: str) -> int:
    return int(app.stats()[name])


def problems(app: StemApp) -> str:
    return "; ".join(app.health()["problems"])


def test_it_gets_another_ring_by_itself_and_finds_what_runs_again(
    app: StemApp, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    running = app.enqueue("wait_for", {"path": str(go)})
    until(lambda: (status := running.status()) and status.state == "running")
    before = connection_of(app).ring.ring_id

    spoil(connection_of(app))
    values = [app.enqueue("add", {"a": n}).result(timeout=20) for n in range(3)]
    go.touch()

    assert running.result(timeout=20) is None
    assert values == [0, 1, 2]
    assert connection_of(app).ring.ring_id != before
    assert (stat(app, "ringsSpoilt"), stat(app, "ringsRenewed")) == (1, 1)
    assert until(lambda: app.health()["ok"])
    [bad] = app.directory.path.glob("*.bad")
    assert bad.stem.startswith(f"p-{before:010d}-{os.getpid()}-")
    log = (app.directory.path / "supervisor.log").read_text()
    assert f"the ring of process {os.getpid()} is corrupt; kept as {bad.name}" in log


def test_what_lay_behind_the_spoilt_record_is_told_as_lost(app: StemApp) -> None:
    app.enqueue("add", {"a": 1}).result(timeout=20)
    owner = app.directory.owner() or 0
    os.kill(owner, signal.SIGSTOP)
    try:
        first = app.enqueue("add", {"a": 1})
        at = tail_of(connection_of(app))
        others = [app.enqueue("add", {"a": n}) for n in range(3)]
        overwrite(connection_of(app), at)
    finally:
        os.kill(owner, signal.SIGCONT)

    assert first.result(timeout=20) == 1  # it came before
    assert all(is_lost(handle) for handle in others)
    assert app.enqueue("add", {"a": 7}).result(timeout=20) == 7


def is_lost(handle: TaskHandle[object]) -> bool:
    result = handle.wait(timeout=20)
    assert not result.timed_out
    if result.is_cancelled:
        with pytest.raises(TaskCancelledError, match="lost with a ring"):
            handle.result(timeout=0)
    return result.is_cancelled


def test_health_names_the_process_until_it_has_come_for_another_ring(
    app: StemApp,
) -> None:
    idle = attach(app.directory)
    until(lambda: app.health()["ok"])

    spoil(idle)
    told = until(lambda: problems(app))
    assert idle.status(bytes(16)) is None
    until(lambda: app.health()["ok"])
    idle.close()

    assert f"the ring of process {os.getpid()} was corrupt" in told
    assert "restart it" in told
    assert stat(app, "ringsRenewed") == 1


def test_an_enqueue_says_what_is_wrong_while_there_is_no_other_ring(
    app: StemApp, make_app: Maker
) -> None:
    add = app.registry.get("add").with_options(enqueue_timeout=0.3)
    add.enqueue(1).result(timeout=20)
    with watcher(make_app, app) as other:
        spoil(connection_of(app))
        until(lambda: stat(other, "ringsSpoilt"))
    owner = app.directory.owner() or 0
    os.kill(owner, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="was found corrupt") as caught:
            add.enqueue(2)
        with pytest.raises(BrokerUnavailable, match="was found corrupt"):
            list(add.map(range(5)))
        took = time.monotonic() - began
    finally:
        os.kill(owner, signal.SIGCONT)

    assert "try again" in str(caught.value)
    assert 0.6 <= took < 0.6 + LATE_S
    assert app.enqueue("add", {"a": 3}).result(timeout=20) == 3


def test_aenqueue_waits_for_the_other_ring_and_the_loop_goes_on(
    app: StemApp, make_app: Maker
) -> None:
    app.enqueue("add", {"a": 1}).result(timeout=20)
    with watcher(make_app, app) as other:
        spoil(connection_of(app))
        until(lambda: stat(other, "ringsSpoilt"))

    async def main() -> int:
        handle = await app.registry.get("add").aenqueue(5)
        return int(await handle)

    assert asyncio.run(main()) == 5


def test_many_threads_go_over_to_the_other_ring_together(app: StemApp) -> None:
    app.enqueue("add", {"a": 1}).result(timeout=20)
    errors: list[BaseException] = []
    total = [0] * 4
    end = threading.Event()

    def use(number: int) -> None:
        try:
            while not end.is_set():
                handle = app.enqueue("add", {"a": 1})
                if not is_lost(handle):
                    total[number] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for spoilt in range(1, 4):
        seen = list(total)
        until(lambda now=seen: all(a > b for a, b in zip(total, now, strict=True)))
        spoil(connection_of(app))
        until(lambda n=spoilt: stat(app, "ringsRenewed") >= n)
    end.set()
    for thread in threads:
        thread.join(30)

    assert errors == []


def test_it_gets_another_though_the_supervisor_dies_meanwhile(app: StemApp) -> None:
    handle = app.enqueue("nap", {"seconds": 1.0})
    before = connection_of(app).ring.ring_id
    owner = app.directory.owner() or 0
    until(lambda: (status := handle.status()) and status.state == "running")

    os.kill(owner, signal.SIGSTOP)
    at = tail_of(connection_of(app))
    lost = app.enqueue("add", {"a": 3})
    overwrite(connection_of(app), at)
    os.kill(owner, signal.SIGKILL)

    assert is_lost(lost)
    assert handle.result(timeout=30) == "rested"
    assert app.enqueue("add", {"a": 4}).result(timeout=20) == 4
    assert connection_of(app).ring.ring_id != before


def test_a_thread_that_still_holds_the_former_ring_is_sent_to_the_new_one(
    app: StemApp,
) -> None:
    app.enqueue("add", {"a": 1}).result(timeout=20)
    former = connection_of(app).ring
    spoil(connection_of(app))
    app.enqueue("add", {"a": 2}).result(timeout=20)

    done = former.submit(TaskHead(name="add").pack(), b"\x80")

    assert connection_of(app).ring is not former
    assert (done.accepted, done.status) == (0, Status.STALE)
