"""
The processes of the bare topology, and the C they move bytes with.

``python -m bench.limit_topology ROLE MEMORY_FD BELL_FD BATCH`` is one of its processes;
ROLE is ``router`` or the index of a worker, BATCH how many records a worker moves with
one call into C.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import shlex
import subprocess
import sys
import sysconfig
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cffi
import msgpack
import uvloop

from bench.workload import add

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    ROOT / "bench/limit_native.c",
    ROOT / "native/sa_spsc.c",
    ROOT / "native/sa_crc.c",
    ROOT / "native/sa_linux.c",
)
WORKERS = 2  # WORKERS in limit_native.c
BATCH = 64
STEP_BUDGET = 256
POLL_NS = 3_000
WORKER_WAIT_NS = 100_000_000
REPLY_WAIT_NS = 50_000_000
SPIN_NS = 100_000
PATIENCE_S = 10.0
_ROOM = 1 << 17

_CDEF = """
size_t lm_size(void);
void *lm_end(void *at, int index, int bell_fd);
void *lm_router(void *at);
void lm_free(void *end_or_router);
void lm_die_with_parent(void);
void lm_stop(void *at, int bell_fd);
int lm_stopped(const void *at);
int lm_submit(void *end, const uint8_t *bodies, const uint32_t *lens, int count,
              uint64_t ticket);
int lm_report(void *end, const uint8_t *outcomes, const uint32_t *lens,
              const uint64_t *tickets, int count);
int lm_take_tasks(void *end, uint8_t *into, uint32_t room, uint32_t *ends,
                  uint64_t *tickets, int count);
int lm_take_replies(void *end, uint8_t *into, uint32_t room, uint32_t *ends,
                    uint64_t *tickets, int count);
int lm_wait(void *end, int64_t spin_ns, int64_t timeout_ns);
int lm_step(void *router, int budget, int64_t poll_ns);
int lm_doze(void *router);
"""


def compiled() -> Path:
    """
    Return the shared library of the limit, compiled if its sources have changed.

    Raises:
        subprocess.CalledProcessError: If the compiler refuses; it has said why.
    """
    headers = sorted((ROOT / "native").glob("*.h"))
    texts = [path.read_bytes() for path in (*SOURCES, *headers)]
    digest = hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]
    target = ROOT / "build/bench" / f"limit-{digest}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}")
        command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC"]
        sources = [f"-I{ROOT / 'native'}", *map(str, SOURCES)]
        argv = [*shlex.split(command)[:1], *flags, "-pthread", *sources]
        subprocess.run([*argv, "-o", str(fresh)], check=True)
        fresh.rename(target)
    return target


ffi = cffi.FFI()
ffi.cdef(_CDEF)


class Segment:
    """
    The shared memory of the topology, mapped here.

    Attributes:
        lib: The C functions.
        at: Where the memory lies.
        memory_fd: A memfd; the caller's.
        bell_fd: The eventfd the router sleeps on; the caller's.
    """

    def __init__(self, memory_fd: int, bell_fd: int) -> None:
        lib: Any = ffi.dlopen(str(compiled()))
        self.lib = lib
        self.memory_fd = memory_fd
        self.bell_fd = bell_fd
        size = lib.lm_size()
        if os.fstat(memory_fd).st_size == 0:
            os.ftruncate(memory_fd, size)
        self._map = mmap.mmap(memory_fd, size)
        self.at = ffi.from_buffer(self._map)

    def end(self, index: int) -> Any:
        """Return the ends of a worker, or of the producer for -1; freed by ffi."""
        end = self.lib.lm_end(self.at, index, self.bell_fd)
        return ffi.gc(end, self.lib.lm_free)

    def router(self) -> Any:
        """Return the router's side; freed by ffi."""
        return ffi.gc(self.lib.lm_router(self.at), self.lib.lm_free)


class Intake:
    """
    Reusable room for one batch of records: what ``lm_take_…`` writes into.

    Attributes:
        tickets: ``uint64_t[batch]``, the tickets of the records taken last.
    """

    def __init__(self, batch: int) -> None:
        self._view = memoryview(bytearray(_ROOM))
        self._ends = array("I", bytes(4 * batch))
        into = ffi.from_buffer("uint8_t[]", self._view)
        ends = ffi.from_buffer("uint32_t[]", self._ends)
        self.tickets = ffi.from_buffer("uint64_t[]", array("Q", bytes(8 * batch)))
        self._target = (into, _ROOM, ends, self.tickets, batch)

    def take(self, take: Callable[..., int], end: Any) -> list[Any]:
        """
        Return the decoded bodies of the next records, at most a batch; may be none.

        Raises:
            RuntimeError: If the ring holds something that is no record.
        """
        count = take(end, *self._target)
        if count < 0:
            raise RuntimeError("the ring of the limit is corrupt")
        began, values = 0, []
        for ended in self._ends[:count]:
            values.append(msgpack.unpackb(self._view[began:ended]))
            began = ended
        return values


def lengths(bodies: Sequence[bytes]) -> Any:
    """Return the ``uint32_t[]`` of the sizes of *bodies*."""
    return ffi.from_buffer("uint32_t[]", array("I", map(len, bodies)))


class Topology:
    """
    A running limit, seen by its producer; a context manager.

    Args:
        batch: Records that host and workers move with one call into C, in [1, BATCH].

    Attributes:
        pids: Role → pids of its processes.
    """

    def __init__(self, batch: int = BATCH) -> None:
        self._batch = batch
        bell_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._segment = Segment(os.memfd_create("limit"), bell_fd)
        self._lib = self._segment.lib
        self._end = self._segment.end(-1)
        self._intake = Intake(batch)
        self._ticket = 0
        roles = ["router", *(str(index) for index in range(WORKERS))]
        self._processes = [self._spawn(role) for role in roles]
        router, *workers = (process.pid for process in self._processes)
        self.pids = {"host": [os.getpid()], "supervisor": [router], "worker": workers}

    def _spawn(self, role: str) -> subprocess.Popen[bytes]:
        fds = (self._segment.memory_fd, self._segment.bell_fd)
        argv = [sys.executable, "-m", "bench.limit_topology", role, *map(str, fds)]
        argv.append(str(self._batch))
        return subprocess.Popen(argv, pass_fds=fds, cwd=ROOT)

    def __enter__(self) -> Topology:
        """Return the topology once its processes have answered."""
        self.round_trip(0)
        return self

    def __exit__(self, *exc: object) -> None:
        self._lib.lm_stop(self._segment.at, self._segment.bell_fd)
        for process in self._processes:
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        os.close(self._segment.memory_fd)
        os.close(self._segment.bell_fd)

    def submit(self, arguments: Sequence[int]) -> None:
        """
        Send one task for each argument.

        Raises:
            RuntimeError: If the ring is full; callers keep to a window below it.
        """
        bodies = [msgpack.packb({"a": argument}) for argument in arguments]
        count = len(bodies)
        sent = self._lib.lm_submit(
            self._end, b"".join(bodies), lengths(bodies), count, self._ticket
        )
        if sent != count:
            raise RuntimeError("the submit ring of the limit is full")
        self._ticket += count

    def results(self) -> list[int]:
        """Return the results that have come, at most a batch; may be none."""
        return self._intake.take(self._lib.lm_take_replies, self._end)

    def wait(self, spin_ns: int) -> None:
        """
        Wait until there is a result.

        Raises:
            TimeoutError: If none comes within PATIENCE_S.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self._lib.lm_wait(self._end, spin_ns, REPLY_WAIT_NS) != 0:
            if time.monotonic() > deadline:
                raise TimeoutError("the limit has lost a task")

    def round_trip(self, argument: int, spin_ns: int = SPIN_NS) -> int:
        """Return the result of one task, waited for."""
        self.submit([argument])
        self.wait(spin_ns)
        return self.results()[0]

    def lives(self, count: int, window: int) -> int:
        """Run *count* tasks, at most *window* at once; return the sum of results."""
        sent = received = total = 0
        while received < count:
            room = min(window - (sent - received), count - sent)
            if room >= self._batch or 0 < room == count - sent:
                upto = sent + min(room, self._batch)
                self.submit(range(sent, upto))
                sent = upto
            results = self.results()
            if results:
                total += sum(results)
                received += len(results)
            elif sent == count or sent - received > window - self._batch:
                self.wait(0)
        return total


def _work(segment: Segment, index: int, batch: int) -> None:
    lib, end, intake = segment.lib, segment.end(index), Intake(batch)
    while not lib.lm_stopped(segment.at):
        calls = intake.take(lib.lm_take_tasks, end)
        if not calls:
            lib.lm_wait(end, 0, WORKER_WAIT_NS)
            continue
        outcomes = [msgpack.packb(add(**arguments)) for arguments in calls]
        count = len(outcomes)
        sent = lib.lm_report(
            end, b"".join(outcomes), lengths(outcomes), intake.tickets, count
        )
        if sent != count:
            raise RuntimeError("the outbox of the limit is full")


async def _route(segment: Segment) -> None:
    lib, router = segment.lib, segment.router()
    loop = asyncio.get_running_loop()
    stopped = loop.create_future()

    def turn() -> None:
        if lib.lm_stopped(segment.at):
            loop.remove_reader(segment.bell_fd)
            if not stopped.done():
                stopped.set_result(None)
            return
        for _ in range(BATCH):
            busy = lib.lm_step(router, STEP_BUDGET, POLL_NS) or lib.lm_doze(router)
            if not busy:
                return
        loop.call_soon(turn)

    def rung() -> None:
        try:
            os.eventfd_read(segment.bell_fd)
        except BlockingIOError:
            return
        turn()

    loop.add_reader(segment.bell_fd, rung)
    turn()
    await stopped


def main() -> None:
    """Be one process of the topology until it is stopped or its host is gone."""
    role, (memory_fd, bell_fd, batch) = sys.argv[1], map(int, sys.argv[2:])
    segment = Segment(memory_fd, bell_fd)
    segment.lib.lm_die_with_parent()
    if role == "router":
        uvloop.run(_route(segment))
    else:
        _work(segment, int(role), batch)


if __name__ == "__main__":
    main()
