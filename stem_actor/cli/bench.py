"""``stem-actor bench``: what this machine does, in a few seconds."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from stem_actor import StemApp
from stem_actor.actor.tree.cores import usable_cores
from stem_actor.cli.bench_run import Bench, Spread, add, spin
from stem_actor.cli.output import Output

__all__ = ["command"]


@click.command("bench")
@click.option("--workers", type=click.IntRange(1, 512), help="Default: the cores.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.2, 60),
    default=2.0,
    show_default=True,
    help="How long each figure is measured.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the figures as JSON.")
def command(workers: int | None, seconds: float, as_json: bool) -> int:
    """
    Measure this machine on a ring of its own: throughput, round trip, hard limit.

    Whole lives are tasks enqueued, run and read back. The round trip is that of one
    task at a time. The hard limit's lateness is that of a handler that never returns,
    until its failure has arrived.
    """
    output = Output(as_json=as_json)
    app = StemApp((add, spin), workers=workers)
    count = app.settings.workers
    if not as_json:
        output.line(f"{_machine()}, {count} workers", style="bold")
        output.flush()  # also into a pipe: what follows takes a while
    with app:
        bench = Bench(app, seconds)
        bench.warm_up()
        lives, trips, late = bench.lives(), bench.round_trips(), bench.lateness()
    if as_json:
        output.json(
            {
                "machine": _machine(),
                "workers": count,
                "livesPerSecond": round(lives.per_second),
                "roundTripMicros": _facts(trips, 1e6),
                "hardLimitLateMillis": _facts(late, 1e3),
            }
        )
        return 0
    output.table(
        ("figure", "p50", "p99", "longest", "unit", "runs"),
        [
            ("round trip", *_cells(trips, 1e6), "µs", trips.runs),
            ("hard limit, late", *_cells(late, 1e3), "ms", late.runs),
        ],
    )
    output.line(f"{lives.per_second:,.0f} whole lives a second, of {lives.lives:,}")
    return 0


def _machine() -> str:
    return f"{_cpu()}, {usable_cores()} cores, Python {platform.python_version()}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return next(models, platform.machine()).strip()


def _cells(spread: Spread, scale: float) -> tuple[float, float, float]:
    return (spread.p50 * scale, spread.p99 * scale, spread.longest * scale)


def _facts(spread: Spread, scale: float) -> dict[str, float]:
    p50, p99, longest = (round(it, 1) for it in _cells(spread, scale))
    return {"p50": p50, "p99": p99, "longest": longest, "runs": spread.runs}
