"""How long a death is felt: a worker's by its task, the supervisor's by everybody."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.harness import Effort, Figure, figure_of, percentile
from stem_actor import StemApp

WORKERS = 2
PATIENCE_S = 30.0
LIVE = 65_536
#: Tasks above LIVE, for those that start between the filling and the kill.
MARGIN = 2_000
#: One producer may hold half of the slots.
SLOTS = 4 * LIVE
ARENA_BYTES = LIVE * 1024
LOOK_EVERY_S = 0.002

app = StemApp(workers=WORKERS)
crowded = StemApp(workers=WORKERS, slots=SLOTS, arena_bytes=ARENA_BYTES)


def _note_start(path: str) -> None:
    """Add who started, and when, to the file: one write, so lines never mix."""
    with open(path, "ab", buffering=0) as file:
        file.write(f"{os.getpid()} {time.monotonic_ns()}\n".encode())


@app.task
def stay(path: str) -> int:
    """Note the start; stay until killed, or return at once when started again."""
    _note_start(path)
    if len(starts_in(Path(path))) > 1:
        return os.getpid()
    time.sleep(PATIENCE_S)
    raise TimeoutError("nobody killed the worker")


@crowded.task
def linger(path: str) -> None:
    """Note the start and take a little time, so that the backlog outlives the kill."""
    _note_start(path)
    time.sleep(0.002)


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a handler: the worker's pid, and CLOCK_MONOTONIC nanoseconds."""

    pid: int
    at_ns: int


def starts_in(path: Path) -> list[Start]:
    """Return the starts noted in a file, whole lines only."""
    if not path.exists():
        return []
    text = path.read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [Start(*map(int, line.split())) for line in lines]


def _wait_for(path: Path, found: Callable[[list[Start]], Start | None]) -> Start:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        start = found(starts_in(path))
        if start is not None:
            return start
        time.sleep(LOOK_EVERY_S)
    raise TimeoutError(f"no start within {PATIENCE_S:.0f} s")


@contextmanager
def _notebook() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-recovery-") as folder:
        yield Path(folder, "starts")


def worker_killed() -> float:
    """Return the milliseconds from SIGKILL of a worker to its task's next start."""
    with _notebook() as path:
        handle = stay.enqueue(str(path))
        first = _wait_for(path, lambda starts: starts[0] if starts else None)
        killed_ns = time.monotonic_ns()
        os.kill(first.pid, signal.SIGKILL)
        again = _wait_for(path, lambda starts: starts[1] if starts[1:] else None)
        assert handle.result(PATIENCE_S) == again.pid != first.pid
    return (again.at_ns - killed_ns) / 1e6


def fill(path: Path, enqueued: int) -> int:
    """Top the backlog up to LIVE and a MARGIN; return the number enqueued so far."""
    missing = LIVE + MARGIN - (enqueued - len(starts_in(path)))
    linger.map([str(path)] * missing)
    return enqueued + missing


def supervisor_killed(path: Path, enqueued: int) -> float:
    """
    Return the milliseconds from SIGKILL of the supervisor to a start by a new worker.

    Workers of before do not count: they may start what they had been offered already.
    """
    _wait_for(path, lambda starts: starts[0] if starts else None)
    roles = processes.by_role(os.getpid())
    [supervisor] = roles["supervisor"]
    assert enqueued - len(starts_in(path)) >= LIVE, "the backlog has melted"
    killed_ns = time.monotonic_ns()
    os.kill(supervisor, signal.SIGKILL)

    def by_a_new_worker(starts: list[Start]) -> Start | None:
        fresh = (start for start in starts if start.pid not in roles["worker"])
        return next((start for start in fresh if start.at_ns > killed_ns), None)

    return (_wait_for(path, by_a_new_worker).at_ns - killed_ns) / 1e6


def supervisors_killed(kills: int) -> list[float]:
    """Kill the supervisor of a full ring *kills* times; return the milliseconds."""
    times, enqueued = [], 0
    with _notebook() as path, crowded:
        for _ in range(kills):
            enqueued = fill(path, enqueued)
            times.append(supervisor_killed(path, enqueued))
    return times


def measure(effort: Effort) -> list[Figure]:
    """Return how long either death is felt."""
    kills = effort.pick(100, 10)
    with app:
        worker_killed()
        lost = [worker_killed() for _ in range(kills)]
    restarts = supervisors_killed(effort.pick(5, 2))
    title = "kill -9 a worker → its task starts again"
    p50, p99 = percentile(lost, 0.50), percentile(lost, 0.99)
    note = f"{kills} kills"
    return [
        figure_of(f"{title}, p50", "ms", [p50], note=note),
        figure_of(f"{title}, p99", "ms", [p99], goal="≤ 50 ms", note=note),
        figure_of(
            f"kill -9 the supervisor, {LIVE:,} live → dispatching",
            "ms",
            restarts,
            goal="≤ 1,000 ms",
        ),
    ]
