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
GOAL = "1, as far as the control is 1"
BARE, LIMITS, AGAIN = "without limits", "with limits", "without limits, again"


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
                BARE: partial(lives, plain, count),
                LIMITS: partial(lives, limited, count),
                AGAIN: partial(lives, plain, count),
            },
            effort,
        )
    per_s = {name: [run.per_s for run in found] for name, found in runs.items()}
    cpu_us = {name: [run.cpu_us for run in found] for name, found in runs.items()}
    note = f"soft {SOFT_S:g} s and hard {HARD_S:g} s, never reached"
    return [
        figure_of(f"no-op {BARE}, whole lives", "1/s", per_s[BARE]),
        figure_of(f"no-op {LIMITS}, whole lives", "1/s", per_s[LIMITS], note=note),
        *_ratios("lives", per_s),
        figure_of(f"no-op {BARE}, CPU per life", "µs", cpu_us[BARE]),
        figure_of(f"no-op {LIMITS}, CPU per life", "µs", cpu_us[LIMITS], note=note),
        *_ratios("CPU per life", cpu_us),
    ]


def _ratios(name: str, samples: dict[str, list[float]]) -> list[Figure]:
    """Return the ratio that is asked for, and that of two equal sides beside it."""
    found = ratios(samples[LIMITS], samples[BARE])
    control = ratios(samples[AGAIN], samples[BARE])
    return [
        figure_of(f"{name}, {LIMITS} / {BARE}", "x", found, goal=GOAL),
        figure_of(f"{name}, {BARE} / itself", "x", control, note="the control"),
    ]
