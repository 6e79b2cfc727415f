"""What a feature costs a task that uses it, beside a bare one, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench import workload
from bench.harness import Effort, Figure, figure_of, interleave, ratios
from stem_actor import StemApp, TaskHandle

WORKERS = 2
#: Below the largest limit, 4,096 starts a second, so that nothing waits for it.
COUNT = 2_000
PATIENCE_S = 30.0
BARE = "bare"
UNIQUE = "+ unique"
RATE = "+ rate limit"
NOTES = {
    UNIQUE: "another key for each task",
    RATE: f"{COUNT:,} of 4,096/s: counted, and never waited for",
}

app = StemApp(workers=WORKERS)
add = app.task(name="features.bare")(workload.add)
unique = app.task(name="features.unique", unique=True)(workload.add)
#: One for each round, with a limiter of its own: that of the last may be used up.
limited = [
    app.task(name=f"features.limited{number}", rate_limit="4096/s")(workload.add)
    for number in range(64)
]

Work = Callable[[], list[TaskHandle[Any]]]


def _lives(work: Work) -> tuple[float, float]:
    """Return whole lives a second, and the CPU of one enqueue in microseconds."""
    began, cpu = time.perf_counter_ns(), time.thread_time_ns()
    handles = work()
    cpu = time.thread_time_ns() - cpu
    for handle in handles:
        handle.result(PATIENCE_S)
    ended = time.perf_counter_ns()
    return COUNT / ((ended - began) / 1e9), cpu / COUNT / 1000


def _each(task: Any) -> list[TaskHandle[Any]]:
    return [task.enqueue(number) for number in range(COUNT)]


def _first_id(number: int) -> float:
    """Return the microseconds of a look at the id of a unique task."""
    handle = unique.enqueue(number)
    began = time.perf_counter_ns()
    assert handle.id
    took = time.perf_counter_ns() - began
    handle.result(PATIENCE_S)
    return took / 1000


def measure(effort: Effort) -> list[Figure]:
    """Return lives a second and the cost of an enqueue, and their ratios to bare."""
    with app:
        rounds = iter(limited)
        found = interleave(
            {
                BARE: lambda: _lives(lambda: _each(add)),
                UNIQUE: lambda: _lives(lambda: _each(unique)),
                RATE: lambda: _lives(lambda: _each(next(rounds))),
            },
            effort,
        )
        looks = [_first_id(number) for number in range(effort.pick(2_000, 200))]
    rates = {name: [it[0] for it in runs] for name, runs in found.items()}
    figures = [
        figure_of(f"{name}, one by one", "1/s", samples, note=NOTES.get(name, ""))
        for name, samples in rates.items()
    ]
    figures += [
        figure_of(f"lives, {name} / {BARE}", "x", ratios(rates[name], rates[BARE]))
        for name in NOTES
    ]
    figures += [
        figure_of(f"{name}, one enqueue, CPU", "µs", [it[1] for it in runs])
        for name, runs in found.items()
    ]
    note = "asks the supervisor, unless its answer is here"
    return [*figures, figure_of("first look at handle.id", "µs", looks, note=note)]
