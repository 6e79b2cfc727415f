"""F10: the file system of the ring is full, or can only be read."""

from __future__ import annotations

import os
import signal
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from stem_actor import StemApp, TaskHandle
from stem_actor.errors import PayloadError, RingError, StemError, TaskFailedError
from tests.fault.chaos import Tree
from tests.fault.evidence import letters, open_files
from tests.fault.jobs import make_app
from tests.fault.scarcity import MIB, add_handlers, small_file_system
from tests.fault.soak import wait_until

#: What a ring of ``_app`` takes, and some room beside it.
ENOUGH = "16m"
LARGE = MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_file_system(tmp_path / "disk", ENOUGH) as path:
        yield path


@pytest.mark.parametrize("size", ["4k", "16k", "512k", "2m", "4m", "5m"])
def test_a_ring_that_does_not_fit_is_refused_whole(tmp_path: Path, size: str) -> None:
    before = open_files()
    with small_file_system(tmp_path / "disk", size) as path:
        app = _app(path)

        with pytest.raises(RingError) as caught:
            app.start()

        assert list(path.iterdir()) == []
        assert "MiB left" in str(caught.value) or "No space left" in str(caught.value)
        assert "runtime_dir" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert open_files() == before
    assert _tree_below(path) == []


def test_a_directory_that_can_only_be_read_is_refused(disk: Path) -> None:
    made = disk / "named"
    with _app(disk, f"ring://{made}"):
        pass
    with _read_only(disk):
        for broker in ("ring://", f"ring://{made}"):
            with pytest.raises(RingError) as caught:
                _app(disk, broker).start()

            assert "Read-only file system" in str(caught.value)
            assert "runtime_dir" in str(caught.value)

    with _app(disk, f"ring://{made}") as app:
        assert app.enqueue("echo", {"number": 3}).result(20) == 3


def test_what_does_not_fit_the_spool_is_refused_and_what_was_accepted_runs(
    disk: Path,
) -> None:
    with _app(disk, result_ttl=0.2) as app:
        app.enqueue("checksum", {"blob": "x"}).result(20)
        app.queue("default").pause()
        accepted: list[TaskHandle[Any]] = []
        with pytest.raises(PayloadError) as caught:  # noqa: PT012 - some are accepted
            for number in range(64):
                accepted.append(_large(app, number))
        app.queue("default").resume()

        values = [it.result(20) for it in accepted]
        _fits_again(app, "checksum")

        assert "No space left" in str(caught.value)
        assert "runtime_dir" in str(caught.value) or "runtime dir" in str(caught.value)
        assert len(accepted) >= 2
        assert values == [_sum(number) for number in range(len(accepted))]
        stats = app.stats()
        assert (stats["crashes"], stats["failed"]) == (0, 0)
        assert wait_until(lambda: list(app.directory.spool.iterdir()) == [], 20)


def test_on_a_full_disk_small_tasks_go_on_and_large_results_wait_for_room(
    disk: Path,
) -> None:
    with _app(disk) as app:
        app.enqueue("echo", {"number": 0}).result(20)
        with _full(disk):
            large = app.enqueue("grow", {"size": LARGE})
            values = [app.enqueue("echo", {"number": n}).result(20) for n in range(200)]
            assert not large.wait(0.3).is_failed

        assert values == list(range(200))
        assert large.result(20) == "g" * LARGE
        assert app.stats()["failed"] == 0
        assert app.health()["ok"]


@pytest.mark.parametrize(("count", "are_dropped"), [(50, False), (200, True)])
def test_dead_letters_that_cannot_be_written_wait_and_drops_are_counted(
    disk: Path, count: int, are_dropped: bool
) -> None:
    with _app(disk) as app:
        _fail(app, 1)
        supervisor = app.directory.owner()
        with _full(disk):
            _fail(app, count)  # 64 of them may wait, a sixteenth of the slots
            assert app.enqueue("echo", {"number": 5}).result(20) == 5
            assert any("dead letters" in it for it in app.health()["problems"])
            purged = _purge(app)
        _fail(app, 1)

        def is_told() -> bool:
            stats = app.stats()
            told = stats["deadLetters"] + stats["deadLettersDropped"]
            return bool(told == 2 + count - purged)

        assert wait_until(is_told, 20), app.stats()
        assert (app.stats()["deadLettersDropped"] > 0) == are_dropped
        assert len(letters(app.directory)) == app.stats()["deadLetters"]
        assert app.directory.owner() == supervisor
        assert wait_until(lambda: app.health()["ok"], 10), app.health()


def test_a_supervisor_that_dies_on_a_full_disk_comes_back(disk: Path) -> None:
    with _app(disk) as app:
        _fail(app, 3)
        app.queue("default").pause()
        waiting = [app.enqueue("echo", {"number": n}) for n in range(100)]
        tree = Tree(app.directory)
        with _full(disk):
            for epoch in (1, 2, 3):
                assert tree.signal(tree.supervisor(), signal.SIGKILL)
                assert wait_until(lambda epoch=epoch: _epoch(app) > epoch, 20)
                assert app.stats()["ready"] == 100
            app.queue("default").resume()
            values = [it.result(20) for it in waiting]

        assert values == list(range(100))
        assert app.stats()["deadLetters"] == 3
        assert wait_until(lambda: app.health()["ok"], 10), app.health()


def test_a_producer_without_room_for_its_ring_is_told_so(disk: Path) -> None:
    ring = f"ring://{disk / 'named'}"
    with _app(disk, ring) as app:
        with _full(disk):
            late = _app(disk, ring)
            with pytest.raises(RingError) as caught:
                late.enqueue("echo", {"number": 1})
            assert app.enqueue("echo", {"number": 2}).result(20) == 2

        assert late.enqueue("echo", {"number": 1}).result(20) == 1
        late.close()

        assert "MiB" in str(caught.value)


# --- inside


def checksum(blob: str) -> int:
    return zlib.crc32(blob.encode())


def grow(size: int) -> str:
    return "g" * size


def fail(number: int) -> None:
    raise ValueError(f"{number}: " + "e" * 3000)


def _app(disk: Path, broker: str = "ring://", **settings: Any) -> StemApp:
    app = make_app(broker, disk, slots=1024, arena_bytes=2 * MIB, **settings)
    for handler in (checksum, grow, fail):
        app.task(name=handler.__name__)(handler)
    return add_handlers(app)


def _epoch(app: StemApp) -> int:
    """How many supervisors the ring has had."""
    return int(app.stats()["epoch"])


def _large(app: StemApp, number: int) -> TaskHandle[Any]:
    return app.enqueue("checksum", {"blob": f"{number:08}" * (LARGE // 8)})


def _sum(number: int) -> int:
    return zlib.crc32(f"{number:08}".encode() * (LARGE // 8))


def _fail(app: StemApp, count: int) -> None:
    handles = [app.enqueue("fail", {"number": n}) for n in range(count)]
    for handle in handles:
        with pytest.raises(TaskFailedError):
            handle.result(20)


def _fits_again(app: StemApp, name: str) -> None:
    """Room comes back by itself as the results expire."""

    def fits() -> bool:
        try:
            return bool(_large(app, 1).result(20) == _sum(1))
        except PayloadError:
            return False

    assert wait_until(fits, 20), name


def _purge(app: StemApp) -> int:
    """Purge the store; 0 if it says that the disk is full. Its log may have room."""
    try:
        return app.dead_letters().purge()
    except StemError as error:
        if "full" not in str(error):
            raise
        return 0


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    """There is not a page left on *disk*."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    assert os.statvfs(disk).f_bavail == 0
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    mount = ["mount", "-o"]
    subprocess.run([*mount, "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run([*mount, "remount,rw", str(disk)], check=True)


def _tree_below(path: Path) -> list[list[str]]:
    """The command lines that name *path*: guardians and supervisors of its rings."""
    found = [
        process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])
    ]
    return [words for words in found if any(str(path) in word for word in words)]
