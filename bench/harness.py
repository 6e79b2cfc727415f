"""How a bench measures: warm-up, runs, interleaving, and the figures that come out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

_S = TypeVar("_S")


@dataclass(frozen=True, slots=True)
class Effort:
    """
    How long a bench may take.

    Attributes:
        runs: Measured runs, at least 1.
        warmups: Runs before them whose numbers are thrown away.
        quick: Whether this is a look rather than a measurement.
        long: Whether the tails are wanted too; for benches that have any.
    """

    runs: int
    warmups: int
    quick: bool
    long: bool = False

    @classmethod
    def of(cls, *, quick: bool, long: bool = False) -> Effort:
        """Return the effort of a quick, a full or a long bench."""
        return cls(3, 1, True) if quick else cls(7, 2, False, long)

    def pick(self, full: int, quick: int) -> int:
        """Return a size: *full*, or *quick* in a quick bench."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One row of the table.

    Attributes:
        name: What was measured.
        unit: Of the samples; ``x`` for a ratio.
        samples: One number per run; empty if there is none to be had.
        goal: What the design asks for, in words; empty if it asks for nothing.
        note: What a reader has to know about it, or why there is no sample.
    """

    name: str
    unit: str
    samples: tuple[float, ...]
    goal: str = ""
    note: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Figure:
        """Return the figure whose `dataclasses.asdict` went through JSON."""
        return cls(**{**row, "samples": tuple(row["samples"])})

    @property
    def spread(self) -> float:
        """Largest minus smallest sample, as a part of the median."""
        middle = statistics.median(self.samples)
        return (max(self.samples) - min(self.samples)) / middle if middle else 0.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """
    A table of its own: what a figure per row cannot say.

    Attributes:
        title: What it shows.
        headings: Of the columns.
        rows: As many cells as there are headings.
        note: How to read it, in sentences.
        data: The same and more for a program, plain JSON: every sample.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    data: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Sheet:
        """Return the sheet whose `dataclasses.asdict` went through JSON."""
        rows = tuple(tuple(cells) for cells in row["rows"])
        headings, data = tuple(row["headings"]), tuple(row["data"])
        return cls(row["title"], headings, rows, row["note"], data)


def absent(name: str, reason: str, *, goal: str = "") -> Figure:
    """Return the row of something that could not be measured, so that it is seen."""
    return Figure(name, "", (), goal, reason)


def figure_of(
    name: str,
    unit: str,
    samples: Sequence[float],
    *,
    goal: str = "",
    note: str = "",
) -> Figure:
    """Return the figure over *samples*, one per run."""
    return Figure(name, unit, tuple(samples), goal, note)


def interleave(
    sides: Mapping[str, Callable[[], _S]], effort: Effort
) -> dict[str, list[_S]]:
    """
    Measure every side once, then every side again, and so on: A B A B.

    Machines drift by tens of per cent within minutes. Neighbouring samples drift
    together, so a ratio of neighbours is worth more than a ratio of two benches.

    Returns:
        Side → its samples, one per run, warm-ups left out.
    """
    samples: dict[str, list[_S]] = {name: [] for name in sides}
    for run in range(-effort.warmups, effort.runs):
        for name, measure in sides.items():
            sample = measure()
            if run >= 0:
                samples[name].append(sample)
    return samples


def repeat(measure: Callable[[], _S], effort: Effort) -> list[_S]:
    """Return one sample per run of a side that is compared with nothing."""
    return interleave({"": measure}, effort)[""]


def ratios(upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """Return the ratio of each pair of neighbours; both come from `interleave`."""
    return [a / b for a, b in zip(upper, lower, strict=True)]


def percentile(samples: Sequence[float], part: float) -> float:
    """
    Return the sample below which *part* of all samples lie, by nearest rank.

    Args:
        samples: At least one.
        part: In [0, 1]; 0.99 for the 99th percentile.
    """
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Latency:
    """The times of many calls in one run, in microseconds."""

    samples: list[float] = field(repr=False)

    @property
    def p50(self) -> float:
        """The median."""
        return percentile(self.samples, 0.50)

    @property
    def p99(self) -> float:
        """The 99th percentile."""
        return percentile(self.samples, 0.99)


def timed(call: Callable[[int], object], count: int, *, pause_s: float = 0) -> Latency:
    """
    Return how long each of *count* calls took.

    Args:
        call: Called with 0, 1, … ``count - 1``.
        count: At least 1.
        pause_s: Sleep before each call, so that every process has gone to sleep too.
    """
    samples = []
    for number in range(count):
        if pause_s:
            time.sleep(pause_s)
        began = time.perf_counter_ns()
        call(number)
        samples.append((time.perf_counter_ns() - began) / 1000)
    return Latency(samples)


def rate(work: Callable[[int], object], count: int) -> float:
    """Return how many of *count* units *work* does in a second."""
    began = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - began)


def latency_figures(
    name: str, runs: Sequence[Latency], *, goal: str = "", note: str = ""
) -> list[Figure]:
    """Return the p50 and the p99 row of one side; *goal* is for the p50."""
    p50 = [run.p50 for run in runs]
    p99 = [run.p99 for run in runs]
    return [
        figure_of(f"{name}, p50", "µs", p50, goal=goal, note=note),
        figure_of(f"{name}, p99", "µs", p99, note=note),
    ]
