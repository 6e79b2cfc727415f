"""Handlers that use up what a process may have, and the means to take it away."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import resource
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from stem_actor import StemApp, TaskContext
from tests.fault.journal import Journal

__all__ = [
    "MIB",
    "MemoryGroup",
    "Region",
    "add_handlers",
    "lend_descriptors",
    "small_file_system",
]

MIB: Final = 1 << 20
_CGROUPS: Final = Path("/sys/fs/cgroup")
_PAGE: Final = 4096
_kept: list[object] = []

Region = tuple[int, int]


# --- handlers


def gorge(name: str, room: int, size: int) -> int:
    """Take *size* bytes with only *room* more than there are now, under a limit."""
    number = {"as": resource.RLIMIT_AS, "data": resource.RLIMIT_DATA}[name]
    line = {"as": "VmSize", "data": "VmData"}[name]
    before = resource.getrlimit(number)
    resource.setrlimit(number, (_status_bytes(line) + room, before[1]))
    try:
        return len(bytearray(size))
    finally:
        resource.setrlimit(number, before)


def swallow(context: TaskContext, journal: str, size: int) -> None:
    """Take *size* bytes that are really there, then stay until somebody ends it."""
    Journal(journal).start(context.id, context.attempt)
    _kept.append(os.urandom(MIB) * (size // MIB))
    while True:
        signal.pause()


def open_all(room: int, *, keep: bool) -> int:
    """Open files until there is no descriptor left; *keep* leaves them open."""
    last = max(int(name) for name in os.listdir("/proc/self/fd"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + room, hard))
    with contextlib.ExitStack() as opened:
        while True:
            file = opened.enter_context(open("/dev/null", "rb"))
            if keep:
                _kept.append(file)
                opened.pop_all()


def read_null() -> int:
    """Need one descriptor; return the worker's pid."""
    with open("/dev/null", "rb"):
        return os.getpid()


def brood(path: str, count: int) -> None:
    """Leave *count* children of every kind, write their pids down, and die."""
    inlet, outlet = os.pipe()
    for number in range(count):
        if os.fork() == 0:
            if number % 3 == 1:
                os.setsid()
            if number % 3 == 2 and os.fork() != 0:  # orphans
                os._exit(0)
            os.write(outlet, f"{os.getpid():>8}".encode())
            while True:
                signal.pause()
    heard = b""
    while len(heard) < 8 * count:
        heard += os.read(inlet, 8 * count)
    fresh = Path(path).with_suffix(".new")
    fresh.write_bytes(heard)
    fresh.rename(path)
    os.kill(os.getpid(), signal.SIGKILL)


def scribble(
    context: TaskContext,
    journal: str,
    regions: list[Region],
    seed: int,
    then: str,
    once: bool = True,
) -> int:
    """
    Write random bytes over the rings of this very worker.

    Args:
        context: Of the start.
        journal: Where this start is written down, and whether it was done before.
        regions: Offset and length of each part of the ring file.
        seed: Of the bytes.
        then: ``die``, ``live`` (return), or ``stay`` until somebody ends it.
        once: Not in a later start of the same task.
    """
    book = Journal(journal)
    book.start(context.id, context.attempt)
    mark = Path(journal, f"scribbled-{context.id}")
    if once and mark.exists():
        book.end(context.id, context.attempt)
        return 0
    mark.touch()
    rng = Random(seed)
    at = own_ring()
    if then == "live":
        book.end(context.id, context.attempt)
    for offset, size in regions:
        ctypes.memmove(at + offset, rng.randbytes(size), size)
    if then == "die":
        ctypes.string_at(0)
    while then == "stay":
        signal.pause()
    return 1


def echo(number: int) -> int:
    return number


def pid() -> int:
    return os.getpid()


def own_ring() -> int:
    """Return the address of this worker's ring file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(".ring") and "/w-" in line:
            return int(line.partition("-")[0], 16)
    raise AssertionError("this process has no ring")


def add_handlers(app: StemApp) -> StemApp:
    """Register all of them."""
    for handler in (gorge, swallow, open_all, read_null, brood, scribble, echo, pid):
        app.task(name=handler.__name__)(handler)
    return app


def _status_bytes(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    line = next(it for it in text.splitlines() if it.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


# --- taking things away


@contextlib.contextmanager
def lend_descriptors(pid: int, count: int | None) -> Iterator[None]:
    """
    Leave *pid* exactly *count* descriptors that it can still open.

    None: not one, and what it closes does not help either.
    """
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = (number for number in itertools.count() if number not in used)
    limit = 3 if count is None else next(itertools.islice(free, count, None))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def small_file_system(path: Path, size: str) -> Iterator[Path]:
    """Mount a tmpfs of *size* on *path*, which is made; unmounted in any case."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path.mkdir(mode=0o700)
    options = f"size={size},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "stem-test", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


class MemoryGroup:
    """A control group of either hierarchy that bounds memory; skips without one."""

    def __init__(self, name: str) -> None:
        unified = _CGROUPS / "cgroup.subtree_control"
        if unified.exists() and "memory" in unified.read_text().split():
            root, self._limit = _CGROUPS, "memory.max"
        elif (_CGROUPS / "memory" / "memory.limit_in_bytes").exists():
            root, self._limit = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            pytest.skip("no control group can bound memory here")
        self._root, self.path = root, root / name
        try:
            self.path.mkdir()
        except OSError as error:
            pytest.skip(f"no control group can be made: {error}")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This process, and what it forks meanwhile, is inside of the group."""
        home = _own_group(self._root)
        (self.path / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (home / "cgroup.procs").write_text(str(os.getpid()))

    def bound(self, room: int) -> None:
        """Leave the group *room* bytes more than it has."""
        swap = self.path / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
        used = self.path / self._limit.replace("max", "current").replace(
            "limit_in", "usage_in"
        )
        limit = (int(used.read_text()) + room) // _PAGE * _PAGE
        (self.path / self._limit).write_text(str(limit))

    def remove(self) -> None:
        """Remove it; it must be empty, or become so within a few seconds."""
        for _ in range(500):
            try:
                self.path.rmdir()
            except OSError:
                select.select([], [], [], 0.01)
            else:
                return
        raise AssertionError(f"{(self.path / 'cgroup.procs').read_text()} still live")


def _own_group(root: Path) -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if (root == _CGROUPS and not controllers) or "memory" in controllers.split(","):
            return root / path.lstrip("/")
    return root
