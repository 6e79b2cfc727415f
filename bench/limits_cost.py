"""What it costs a task to carry limits that it never reaches."""

from __future__ import annotations

import os
from functools import partial
from typing import NamedTuple

from bench import processes, workload
from bench.harness import Effort, Figure, figure_of, interleave, rate, ratios
from bench.stem_side import WORKERS, StemSide, add, app

ROLES = ("host", "supervisor", "worker")
SOFT_S, HARD_S = 30.0, 60.0
GOAL = "1, within the spread"


@app.task(soft_time_limit=SOFT_S, hard_time_limit=HARD_S)
def add_in_time(a: int) -> int:
    """Return *a* plus one, and have two timers while at it."""
    return workload.add(a)


class Cost(NamedTuple):
    """One run: lives a second, and microseconds of CPU a life, all roles together."""

    per_s: float
    cpu_us: float


def lives(side: StemSide, count: int) -> Cost:
    """Run *count* tasks and check the sum of their results."""
    roles = side.roles()
    before = processes.cpu_by_role(roles)
    sums: list[int] = []
    per_s = rate(lambda count: sums.append(side.lives(count)), count)
    if roles != side.roles():
        raise RuntimeError("a process was replaced during the run")
    after = processes.cpu_by_role(roles)
    assert sums == [workload.sum_of_lives(count)], "a result is missing or wrong"
    used_ns = sum(after[role] - before[role] for role in ROLES)
    return Cost(per_s, used_ns / count / 1000)


def measure(effort: Effort) -> list[Figure]:
    """Return both sides, and the ratio of neighbours, by turns in one tree."""
    count = effort.pick(100_000, 30_000)
    with app:
        processes.settled(os.getpid(), WORKERS)
        plain, limited = StemSide(add), StemSide(add_in_time)
        runs = interleave(
            {
                "no limits": partial(lives, plain, count),
                "limits": partial(lives, limited, count),
            },
            effort,
        )
    per_s = {name: [run.per_s for run in found] for name, found in runs.items()}
    cpu_us = {name: [run.cpu_us for run in found] for name, found in runs.items()}
    note = f"soft {SOFT_S:g} s and hard {HARD_S:g} s, never reached"
    return [
        figure_of("no-op without limits, whole lives", "1/s", per_s["no limits"]),
        figure_of("no-op with limits, whole lives", "1/s", per_s["limits"], note=note),
        _ratio("lives, with / without limits", per_s),
        figure_of("no-op without limits, CPU per life", "µs", cpu_us["no limits"]),
        figure_of("no-op with limits, CPU per life", "µs", cpu_us["limits"]),
        _ratio("CPU per life, with / without limits", cpu_us),
    ]


def _ratio(name: str, samples: dict[str, list[float]]) -> Figure:
    found = ratios(samples["limits"], samples["no limits"])
    return figure_of(name, "x", found, goal=GOAL, note="neighbours, by turns")
