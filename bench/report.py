"""What a bench leaves: a table a reader can paste, and JSON a program can read."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.harness import Figure, Sheet

_HEADINGS = ("what", "goal", "median", "min", "max", "spread", "unit", "note")


@dataclass(frozen=True, slots=True)
class Machine:
    """
    Where the figures were taken.

    Attributes:
        cpu: Model name as the kernel gives it.
        cores: Cores this process may run on.
        kernel: Its release.
        python: Implementation and version.
        load: Load average over one minute, before the first run.
    """

    cpu: str
    cores: int
    kernel: str
    python: str
    load: float

    @classmethod
    def here(cls) -> Machine:
        """Return the machine this process runs on, now."""
        return cls(
            _cpu_model(),
            len(os.sched_getaffinity(0)),
            platform.release(),
            f"{platform.python_implementation()} {platform.python_version()}",
            os.getloadavg()[0],
        )

    def line(self) -> str:
        """Return all of it in one line."""
        return (
            f"{self.cpu}, {self.cores} cores, Linux {self.kernel}, {self.python}, "
            f"load {self.load:.2f} at start"
        )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table whose columns are aligned."""
    return _aligned([_HEADINGS, *(_row(figure) for figure in figures)])


def sheet(page: Sheet) -> str:
    """Return a sheet in Markdown: its title, how to read it, and an aligned table."""
    parts = [f"**{page.title}**", page.note, _aligned([page.headings, *page.rows])]
    return "\n\n".join(part for part in parts if part)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    if not figure.samples:
        return (figure.name, figure.goal, "absent", "", "", "", "", figure.note)
    return (
        figure.name,
        figure.goal,
        number(statistics.median(figure.samples)),
        number(min(figure.samples)),
        number(max(figure.samples)),
        f"{figure.spread:.0%}",
        figure.unit,
        figure.note,
    )


def number(value: float) -> str:
    """Return *value* with the three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def as_json(
    machine: Machine,
    command: str,
    figures: Sequence[Figure],
    sheets: Sequence[Sheet] = (),
) -> str:
    """Return everything the tables show, and every sample."""
    document = {
        "machine": asdict(machine),
        "command": command,
        "figures": [asdict(figure) for figure in figures],
        "sheets": [asdict(page) for page in sheets],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
