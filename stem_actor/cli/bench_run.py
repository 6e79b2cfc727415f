"""The measurements of ``stem-actor bench``, and the tasks that they run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from stem_actor import StemApp, TaskContext, TaskHandle, task
from stem_actor.errors import StemError

__all__ = ["Bench", "Rate", "Spread", "add", "spin"]

#: Tasks on their way at a time: enough for every worker, and far below the slots.
_WINDOW: Final = 4_096
_BATCH: Final = 512
_WAIT_S: Final = 30.0
_LIMIT_S: Final = 0.1


class Rate(NamedTuple):
    """Whole lives: so many tasks enqueued, run and read back in *seconds*."""

    lives: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.lives / self.seconds


class Spread(NamedTuple):
    """The durations of so many runs, in seconds."""

    runs: int
    p50: float
    p99: float
    longest: float


@task(name="stem_actor.bench.add")
def add(a: int) -> int:
    """The task whose lives are counted."""
    return a + 1


@task(name="stem_actor.bench.spin", hard_time_limit=_LIMIT_S)
def spin(context: TaskContext) -> None:
    """Say when it began, then run into its hard limit."""
    context.progress(0, time.monotonic_ns())
    while True:
        pass


class Bench:
    """
    Measures a started app that has the tasks of this module; one method a figure.

    Args:
        app: The app.
        seconds: How long each figure is measured, about.
    """

    def __init__(self, app: StemApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    def warm_up(self) -> None:
        """Have every worker up and every path taken once."""
        self._lives(min(1.0, self._seconds))

    def lives(self) -> Rate:
        """Enqueue in batches, run, and read every result from its handle."""
        return self._lives(self._seconds)

    def round_trips(self) -> Spread:
        """One task at a time: from before its enqueue until its result is here."""
        times: list[float] = []
        until = time.perf_counter() + self._seconds
        while (began := time.perf_counter()) < until:
            add.enqueue(1).result(timeout=_WAIT_S)
            times.append(time.perf_counter() - began)
        return _spread(times)

    def lateness(self) -> Spread:
        """
        A handler that never returns: from its hard limit until its failure is here.

        Raises:
            StemError: If one of them told no start; progress may be dropped.
        """
        times: list[float] = []
        until = time.perf_counter() + self._seconds
        while time.perf_counter() < until:
            handle = spin.enqueue()
            result = handle.wait(timeout=_WAIT_S)
            ended_ns = time.monotonic_ns()
            if not result.is_failed or handle.progress is None:
                raise StemError(f"the hard limit did not end task {handle.id}")
            began_ns = cast("int", handle.progress.data)
            times.append((ended_ns - began_ns) / 1e9 - _LIMIT_S)
        return _spread(times)

    def _lives(self, seconds: float) -> Rate:
        open_: deque[TaskHandle[int]] = deque()
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            open_.extend(add.map(range(_BATCH)))
            count += _BATCH
            while len(open_) > _WINDOW - _BATCH:
                open_.popleft().result(timeout=_WAIT_S)
        while open_:
            open_.popleft().result(timeout=_WAIT_S)
        return Rate(count, time.perf_counter() - began)


def _spread(times: Sequence[float]) -> Spread:
    ranked = sorted(times)
    last = len(ranked) - 1
    return Spread(len(ranked), ranked[last // 2], ranked[last * 99 // 100], ranked[-1])
