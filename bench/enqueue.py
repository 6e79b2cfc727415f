"""What an enqueue costs its caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from bench.harness import Effort, Figure, figure_of, interleave
from bench.stem_side import PATIENCE_S, add, app
from stem_actor import TaskHandle

#: Few enough to fit any ring and slot table, so that no enqueue waits for room.
COUNT = 2_000

Handles = Iterable[TaskHandle[int]]


def _one_by_one() -> Handles:
    return [add.enqueue(number) for number in range(COUNT)]


def _many() -> Handles:
    return add.map(range(COUNT))


def _cost(enqueue: Callable[[], Handles]) -> tuple[float, float]:
    """Return wall and CPU microseconds per task; its results are read untimed."""
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    handles = list(enqueue())
    cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    for number, handle in enumerate(handles):
        assert handle.result(PATIENCE_S) == number + 1
    return wall / COUNT / 1000, cpu / COUNT / 1000


def measure(effort: Effort) -> list[Figure]:
    """Return the cost of one `enqueue`, and of a task in `enqueue_many`."""
    longer = Effort(effort.runs * 5, effort.warmups * 5, effort.quick)
    with app:
        costs = interleave(
            {"enqueue": lambda: _cost(_one_by_one), "map": lambda: _cost(_many)},
            longer,
        )
    titles = {"enqueue": "one enqueue", "map": "a task in enqueue_many"}
    goals = {"enqueue": "≤ 5 µs", "map": "≤ 2 µs"}
    figures = []
    for name, samples in costs.items():
        wall, cpu = zip(*samples, strict=True)
        note = f"mean over {COUNT:,}; workers run meanwhile"
        title = titles[name]
        figures += [
            figure_of(f"{title}, CPU", "µs", cpu, goal=goals[name], note=note),
            figure_of(f"{title}, wall", "µs", wall),
        ]
    return figures
