"""The round trip of one task, by every way of waiting, beside Pool.apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from bench.harness import (
    Effort,
    Figure,
    Latency,
    absent,
    figure_of,
    interleave,
    latency_figures,
    ratios,
)
from bench.remote import RemoteSide, opened

US = "stem_actor"
POOL = "multiprocessing.Pool"
PAUSE_S = 0.005
#: Way → goal for our p50, goal for its ratio to the pool.
GOALS = {
    "back to back": ("≤ 80 µs; p99 ≤ 400 µs", "≤ 0.5"),
    "after 5 ms": ("≤ 300 µs", "≤ 0.7"),
    "by await": ("≤ 300 µs", "≤ 0.7"),
}


def measure(effort: Effort) -> list[Figure]:
    """Return p50 and p99 of each way, ours and the pool's, and the ratios of p50."""
    figures: list[Figure] = []
    with ExitStack() as stack:
        sides, reasons = opened((US, POOL), stack)
        for way, run in _ways(effort).items():
            waits = interleave(
                {name: partial(run, side) for name, side in sides.items()}, effort
            )
            figures += _rows(way, waits)
    return figures + [
        absent(f"{name}, round trip", reason) for name, reason in reasons.items()
    ]


def _ways(effort: Effort) -> dict[str, Callable[[RemoteSide], Latency]]:
    many, few = effort.pick(5_000, 500), effort.pick(400, 60)
    return {
        "back to back": lambda side: side.trips(many),
        "after 5 ms": lambda side: side.trips(few, pause_s=PAUSE_S),
        "by await": lambda side: side.awaited(many),
    }


def _rows(way: str, waits: Mapping[str, list[Latency]]) -> list[Figure]:
    ours, against_pool = GOALS[way]
    rows: list[Figure] = []
    for name, runs in waits.items():
        goal = ours if name == US else ""
        rows += latency_figures(f"{name}, round trip, {way}", runs, goal=goal)
    if waits.keys() >= {US, POOL}:
        p50 = {name: [run.p50 for run in runs] for name, runs in waits.items()}
        title = f"p50 {way}, {US} / Pool"
        samples = ratios(p50[US], p50[POOL])
        rows.append(figure_of(title, "x", samples, goal=against_pool))
    return rows
