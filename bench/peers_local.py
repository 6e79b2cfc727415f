"""stem_actor beside the process pools and queues of one machine, in the same run."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from bench.harness import (
    Effort,
    Figure,
    absent,
    figure_of,
    interleave,
    latency_figures,
    ratios,
)
from bench.remote import opened

US = "stem_actor"
PEERS = (
    "multiprocessing.Pool",
    "ProcessPoolExecutor",
    "loky",
    "Pebble",
    "Pebble, with timeout",
    "faster-fifo",
)
NOTES = {
    "multiprocessing.Pool": "imap, chunksize=1; apply",
    "Pebble, with timeout": "60 s, never reached",
    "faster-fifo": "transport only: workers by hand, no limits, no recovery",
}


def measure(effort: Effort) -> list[Figure]:
    """Return lives a second and the sync round trip of every side, and our ratios."""
    lives = effort.pick(20_000, 4_000)
    trips = effort.pick(2_000, 300)
    with ExitStack() as stack:
        sides, reasons = opened((US, *PEERS), stack)
        rates = interleave(
            {name: partial(side.lives, lives) for name, side in sides.items()}, effort
        )
        waits = interleave(
            {name: partial(side.trips, trips) for name, side in sides.items()}, effort
        )
    figures = [
        figure_of(f"{name}, whole lives", "1/s", rates[name], note=NOTES.get(name, ""))
        for name in sides
    ]
    for name in sides:
        figures += latency_figures(f"{name}, round trip", waits[name])
    if US in sides:
        figures += [
            figure_of(f"lives, {US} / {name}", "x", ratios(rates[US], rates[name]))
            for name in sides
            if name != US
        ]
    return [
        *figures,
        *(absent(f"{name}, whole lives", reason) for name, reason in reasons.items()),
    ]
