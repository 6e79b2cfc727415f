"""The limit: the same topology and the same frames, without any meaning."""

from __future__ import annotations

from bench.harness import (
    Effort,
    Figure,
    figure_of,
    interleave,
    latency_figures,
    rate,
    repeat,
    timed,
)
from bench.limit_topology import SPIN_NS, Topology
from bench.workload import sum_of_lives

WINDOW = 4096


def lives(topology: Topology, count: int) -> float:
    """Return whole lives a second over *count* of them, results checked."""

    def work(count: int) -> None:
        assert topology.lives(count, WINDOW) == sum_of_lives(count)

    return rate(work, count)


def measure(effort: Effort) -> list[Figure]:
    """Return lives a second, and the round trip by three ways of waiting."""
    count = effort.pick(200_000, 50_000)
    trips = effort.pick(5_000, 1_000)
    with Topology() as topology:
        throughput = repeat(lambda: lives(topology, count), effort)
        ways = {
            "spinning": lambda: timed(topology.round_trip, trips),
            "sleeping": lambda: timed(lambda n: topology.round_trip(n, 0), trips),
            "after 5 ms": lambda: timed(
                topology.round_trip, effort.pick(400, 100), pause_s=0.005
            ),
        }
        waits = interleave(ways, effort)
    note = f"{count:,} lives a run"
    figures = [figure_of("limit, whole lives", "1/s", throughput, note=note)]
    for way, runs in waits.items():
        note = f"spins up to {SPIN_NS // 1000} µs" if way != "sleeping" else ""
        figures += latency_figures(f"limit, round trip, {way}", runs, note=note)
    return figures
