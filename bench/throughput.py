"""Whole task lives a second, and where the CPU of a life goes, beside the limit."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from bench.harness import Effort, Figure, absent, figure_of, interleave, ratios
from bench.remote import opened

US = "stem_actor"
BATCHED = "limit"
SINGLE = "limit, one by one"
NOTES = {
    US: "enqueue many, run, read every result from its handle",
    BATCHED: "64 records a call into C, in every process",
    SINGLE: "1 record a call into C, in host and workers",
}
CPU_GOALS = {"host": "≤ 8 µs", "supervisor": "≤ 4 µs", "worker": "≤ 8 µs"}


def measure(effort: Effort) -> list[Figure]:
    """Return lives a second, CPU per life by role, and the part of the limit."""
    count = effort.pick(200_000, 30_000)
    with ExitStack() as stack:
        sides, reasons = opened((US, BATCHED, SINGLE), stack)
        runs = interleave(
            {name: partial(side.costs, count) for name, side in sides.items()}, effort
        )
    figures = [
        absent(f"{name}, whole lives", reason) for name, reason in reasons.items()
    ]
    rates = {name: [run["rate"] for run in costs] for name, costs in runs.items()}
    for name, samples in rates.items():
        goal = "≥ 100,000" if name == US else ""
        figures.append(
            figure_of(
                f"{name}, whole lives", "1/s", samples, goal=goal, note=NOTES[name]
            )
        )
    if US in rates:
        figures += [
            figure_of(
                f"lives, {US} / {name}",
                "x",
                ratios(rates[US], rates[name]),
                goal="≥ 0.60",
            )
            for name in (BATCHED, SINGLE)
            if name in rates
        ]
    if US in runs:
        moved = [run["moved"] for run in runs[US]]
        title = f"{US}, records moved per call into C"
        note = "admitted, finished and replied, in the supervisor"
        figures.append(figure_of(title, "records", moved, goal="≥ 64", note=note))
    for name, costs in runs.items():
        for role in CPU_GOALS:
            goal = CPU_GOALS[role] if name == US else ""
            samples = [run[role] for run in costs]
            title = f"{name}, CPU per life, {role}"
            figures.append(figure_of(title, "µs", samples, goal=goal))
    return figures
