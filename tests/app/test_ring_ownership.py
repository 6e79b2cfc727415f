"""Whose a ring is: its one supervisor, its producers that come and go, its files."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from stem_actor.actor.host.attachment import attach
from stem_actor.actor.host.connection import Connection
from stem_actor.actor.host.revival import start_error
from stem_actor.actor.supervisor import producers
from stem_actor.actor.supervisor.fence import born_at
from stem_actor.errors import RingError, RingInUse
from stem_actor.ids import format_id
from stem_actor.ring import directory as directories
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.record import TaskHead
from tests.app.conftest import Maker
from tests.app.until import until
from tests.fault.chaos import Tree

#: Looks at the owner of a ring without a pause until it is killed.
OBSERVE = """
import sys
from pathlib import Path
from stem_actor.ring.directory import RingDirectory
ring = RingDirectory(Path(sys.argv[1]), is_anonymous=False)
print("looking", flush=True)
while True:
    ring.owner()
"""


def test_a_process_may_start_its_ring_again_and_again(make_app: Maker) -> None:
    app = make_app(broker="ring://again", workers=1)
    found = set()
    for n in range(6):
        with app:
            assert app.enqueue("add", {"a": n}).result(timeout=10) == n
            rings = until(lambda: len(_producer_rings(app.directory)) == 1)
            found.add((app.stats()["producers"], rings))

    assert found == {(1, True)}


def test_what_a_producer_published_before_it_left_is_admitted_by_the_next_start(
    make_app: Maker, tmp_path: Path
) -> None:
    app = make_app(broker="ring://left", workers=1)
    path = tmp_path / "journal"
    with app:
        app.enqueue("add", {"a": 1}).result(timeout=10)
        producer = make_app(broker="ring://left")
        journal = producer.registry.get("journal")
        journal.with_options(countdown=3600).enqueue(str(path)).status()
        owner = app.directory.owner() or 0
        os.kill(owner, signal.SIGSTOP)  # from here on nobody reads
        journal.enqueue(str(path))
        producer.close()
        guardian = app._host.guardian if app._host else None
        assert guardian is not None
        guardian.end(keep=True)
        assert guardian.wait(20)
        until(lambda: app.directory.owner() is None)

    with app:
        until(lambda: path.exists() and path.read_text())
        until(lambda: len(_producer_rings(app.directory)) == 1)


def test_a_submission_that_races_with_close_is_run_or_refused(
    make_app: Maker, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    accepted: list[str] = []
    errors: list[str] = []
    with make_app(broker="ring://race") as app:
        for n in range(1, 6):
            connection = attach(app.directory)
            arguments = connection, path, accepted, errors
            thread = threading.Thread(target=_submit, args=arguments)
            is_busy = partial(_has_more, accepted, len(accepted) + 5)
            thread.start()
            until(is_busy)
            connection.close()
            thread.join(20)
            assert len(errors) == n
        until(lambda: app.stats()["live"] == 0)
        run = [line.split()[0] for line in path.read_text().splitlines()]

    assert sorted(run) == sorted(accepted)
    assert set(errors) == {"the connection to the ring is closed"}


def test_a_process_that_has_the_pid_of_a_dead_producer_is_not_it() -> None:
    born = born_at(os.getpid())

    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        of_a_zombie = producers._is_alive(child.pid, 1)

    assert producers._is_alive(os.getpid(), born)
    assert not producers._is_alive(os.getpid(), born - 1)
    assert not of_a_zombie


def test_who_looks_at_a_ring_never_refuses_its_start(make_app: Maker) -> None:
    app = make_app(broker="ring://looked", workers=1)
    with app:
        path = app.directory.path
    command = [sys.executable, "-c", OBSERVE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as observer:
        try:
            assert observer.stdout is not None
            observer.stdout.readline()
            for _ in range(5):
                with app:
                    pass
            log = app.directory.log.read_text()
        finally:
            observer.kill()

    assert "RingInUse" not in log
    assert "supervisor ended" not in log


def test_two_starts_at_one_time_refuse_one_by_the_pid_of_the_other(
    make_app: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_app(broker="ring://both", workers=1) as first:
        # The second has looked just before the first had the lock.
        monkeypatch.setattr(RingDirectory, "owner", lambda self: None)
        with pytest.raises(RingInUse) as caught:
            make_app(broker="ring://both").start()
        monkeypatch.undo()

        assert caught.value.pid == first.directory.owner()
        assert caught.value.path == str(first.directory.path)
        assert first.enqueue("add", {"a": 1}).result(timeout=10) == 1


def test_the_pid_of_a_dead_supervisor_is_never_told(tmp_path: Path) -> None:
    ring = RingDirectory(tmp_path / "ring", is_anonymous=False)
    ring.create()
    with subprocess.Popen(["true"]) as child:
        pass
    ring.lock.write_text(f"{child.pid:<20}")
    assert ring.owner() is None
    holder = os.open(ring.lock, os.O_RDWR)
    whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(holder, fcntl.F_OFD_SETLK, whole)  # and has not said who it is

    with pytest.raises(RingInUse) as caught:
        ring.take_lock()
    os.pwrite(holder, f"{os.getpid():<20}".encode(), 0)
    told = ring.owner()
    os.close(holder)

    assert caught.value.pid == 0
    assert told == os.getpid()


def test_the_lock_file_never_gives_its_block_back(tmp_path: Path) -> None:
    ring = RingDirectory(tmp_path / "ring", is_anonymous=False)
    ring.create()
    os.close(ring.take_lock())
    size = ring.lock.stat().st_size

    with _no_new_bytes():  # a full disk: what is there may be written over
        fd = ring.take_lock()

    assert ring.owner() == os.getpid()
    assert ring.lock.stat().st_size == size == 20
    os.close(fd)


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o770])
def test_the_default_place_of_rings_must_be_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    root = tmp_path / "stem-0"
    root.mkdir()
    root.chmod(mode)
    monkeypatch.setattr(directories, "_runtime_root", lambda: root)

    with pytest.raises(RingError, match=re.escape(f"chmod 700 {root}")):
        directories.parse_ring_url("ring://mine").create()

    assert list(root.iterdir()) == []


def test_the_default_place_of_rings_may_not_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    root = tmp_path / "stem-0"
    root.symlink_to(elsewhere)
    monkeypatch.setattr(directories, "_runtime_root", lambda: root)

    with pytest.raises(RingError, match=f"{root} is not a directory of this user"):
        directories.parse_ring_url("ring://mine").create()

    assert list(elsewhere.iterdir()) == []


def test_the_default_place_of_rings_is_made_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "stem-0"
    monkeypatch.setattr(directories, "_runtime_root", lambda: root)

    directories.parse_ring_url("ring://mine").create()

    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_supervisors_reason_and_its_last_words_are_told_apart() -> None:
    own = start_error("failed: RingError: no room; free some", "an older line")
    guardians = start_error("failed: supervisor killed by signal 11", "Fatal: fault")
    silent = start_error("failed: supervisor killed by signal 9", None)

    assert str(own) == "the supervisor cannot run: no room; free some"
    assert str(guardians).endswith("by signal 11; its last words: Fatal: fault")
    assert str(silent).endswith("killed by signal 9")


@pytest.mark.parametrize("start_method", ["fork", "import"])
def test_the_supervisor_raises_its_own_limit_of_descriptors_and_no_workers(
    make_app: Maker, start_method: str
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours = min(before[1], 512)
    resource.setrlimit(resource.RLIMIT_NOFILE, (ours, before[1]))
    try:
        with make_app(workers=1, start_method=start_method) as app:
            app.enqueue("add", {"a": 1}).result(timeout=30)
            tree = Tree(app.directory)
            workers = until(lambda: len(it := tree.workers()) == 2 and it)
            theirs = {it: open_files_limit(it) for it in workers + tree.zygotes()}
            raised = open_files_limit(tree.supervisor() or 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert len(theirs) == 4, "two workers, two zygotes"
    assert set(theirs.values()) == {(ours, before[1])}
    # The guardian raises it, once, and each supervisor inherits that.
    assert raised == (before[1], before[1])
    assert raised[0] > ours


def open_files_limit(pid: int) -> tuple[int, int]:
    """Soft and hard limit of open files, as the kernel shows them."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    [line] = [it for it in lines if it.startswith("Max open files")]
    soft, hard, _ = line.removeprefix("Max open files").split()
    return int(soft), int(hard)


def test_a_connection_that_a_child_inherits_does_not_leave_for_its_parent(
    make_app: Maker,
) -> None:
    with make_app(broker="ring://inherited") as app:
        connection = attach(app.directory)
        child = os.fork()
        if child == 0:
            connection.close()
            os._exit(0)
        os.waitpid(child, 0)

        head, body = TaskHead(name="add").pack(), msgspec.msgpack.encode({"a": 7})
        task_id, _ = connection.submit(head, body, queue="q", timeout_ns=10**9)
        assert until(lambda: _payload_of(connection, task_id)) == 7
        connection.close()


def _submit(
    connection: Connection, path: Path, accepted: list[str], errors: list[str]
) -> None:
    """Submit through *connection* until it is closed."""
    head = TaskHead(name="journal").pack()
    body = msgspec.msgpack.encode({"path": str(path)})
    try:
        while True:
            task_id, _ = connection.submit(head, body, queue="q", timeout_ns=10**10)
            accepted.append(format_id(task_id))
    except RingError as error:
        errors.append(str(error))


def _has_more(accepted: list[str], than: int) -> bool:
    return len(accepted) > than


def _payload_of(connection: Connection, task_id: bytes) -> object:
    status = connection.status(task_id)
    return None if status is None else status.payload


def _producer_rings(directory: RingDirectory) -> list[Path]:
    return list(directory.path.glob("p-*"))


@contextmanager
def _no_new_bytes() -> Iterator[None]:
    """No file may grow beyond the 20 bytes that a lock file has."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
