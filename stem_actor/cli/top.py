"""``stem-actor top``: a live view of a ring that asks no process for anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import click
import psutil
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from stem_actor.cli.output import Output, printable, rich_table
from stem_actor.cli.target import takes_ring
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.view import STATES, RingSample, RingView, StateRow

__all__ = ["command"]

_FIRST_S: Final = 0.25
_MOST_ROWS: Final = 20


@click.command("top")
@click.option("--once", is_flag=True, help="Write one frame and leave.")
@click.option(
    "--every",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    help="Seconds between two frames.",
)
@click.option("--json", "as_json", is_flag=True, help="One frame as JSON.")
@takes_ring
def command(directory: RingDirectory, once: bool, every: float, as_json: bool) -> int:
    """Watch a ring; works while every process of it is stopped. Ctrl-C leaves."""
    output = Output(as_json=as_json)
    view = RingView(directory)
    try:
        before = view.sample()
        time.sleep(_FIRST_S)  # a rate needs two looks
        if once or not output.is_terminal:
            _show_once(directory, before, view.sample(), output)
            return 0
        with suppress(KeyboardInterrupt):  # the way to leave
            _watch(directory, view, before, every, output)
    finally:
        view.close()
    return 0


def _watch(
    directory: RingDirectory,
    view: RingView,
    before: RingSample,
    every_s: float,
    output: Output,
) -> None:
    after = view.sample()
    with Live(console=output.console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(_frame(directory, before, after), refresh=True)
            time.sleep(every_s)
            before, after = after, view.sample()


def _show_once(
    directory: RingDirectory, before: RingSample, after: RingSample, output: Output
) -> None:
    if output.as_json:
        facts = asdict(after)
        facts["ring"] = str(directory.path)
        facts["tasksPerSecond"] = after.rate(before)
        facts["queues"] = [it._asdict() for it in after.queues]
        facts["tasks"] = [it._asdict() for it in after.tasks]
        facts["workers"] = [
            {**it._asdict(), "process": _process(it.pid)} for it in after.workers
        ]
        facts["process"] = _supervisor(directory, after)
        output.json(facts)
        return
    output.line(_headline(directory, before, after))
    for title, columns, rows in _tables(after):
        output.line()
        output.table(columns, rows, title=title)


def _frame(
    directory: RingDirectory, before: RingSample, after: RingSample
) -> RenderableType:
    parts: list[RenderableType] = [Text(_headline(directory, before, after))]
    for title, columns, rows in _tables(after):
        table = [[printable(value) for value in row] for row in rows]
        numeric = [name not in _WORDS for name in columns]
        parts.append(rich_table(columns, table, numeric, title))
    return Group(*parts)


_WORDS: Final = frozenset({"queue", "task", "process", "paused"})
_Table = tuple[str, Sequence[str], list[Sequence[object]]]


def _headline(directory: RingDirectory, before: RingSample, after: RingSample) -> str:
    return (
        f"{directory.path}: supervisor {_supervisor(directory, after)}, "
        f"{after.rate(before):,.0f} tasks/s, "
        f"oldest ready {after.oldest_ready_ns / 1e9:,.1f} s, "
        f"{after.counters['live']:,} live and {after.counters['retained']:,} kept "
        f"of {after.slots:,} slots"
    )


def _tables(sample: RingSample) -> list[_Table]:
    states = tuple(STATES.values())
    live = tuple(it for it in states if it != "finished")
    tasks = sorted(sample.tasks, key=lambda it: (-sum(it.counts.values()), it.name))
    return [
        (
            "Queues",
            ("queue", *states, "paused"),
            [(*_cells(it, states), it.paused) for it in sample.queues[:_MOST_ROWS]],
        ),
        (
            "Live tasks",
            ("task", *live),
            [_cells(it, live) for it in tasks[:_MOST_ROWS]],
        ),
        (
            "Workers",
            ("worker", "pid", "process", "finished"),
            [
                (str(it.number), str(it.pid or "-"), _process(it.pid), it.finished)
                for it in sample.workers
            ],
        ),
    ]


def _cells(row: StateRow, states: Sequence[str]) -> tuple[object, ...]:
    return (row.name, *(row.counts[it] for it in states))


def _supervisor(directory: RingDirectory, sample: RingSample) -> str:
    owner = directory.owner()
    if owner is None:
        return f"gone (it was {sample.supervisor})"
    return f"{owner} {_process(owner)}"


def _process(pid: int) -> str:
    """Return what the kernel says of a process: running, sleeping, stopped, gone."""
    if not pid:
        return "none"
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return "gone"
    except psutil.AccessDenied:
        return "unknown"
