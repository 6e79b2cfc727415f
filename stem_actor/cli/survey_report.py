"""The survey's report: what it found, how it went, and how it is shown."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import msgspec

from stem_actor.cli.output import Output
from stem_actor.cli.survey import Totals

__all__ = ["Failure", "Faults", "SurveyReport", "show_report"]

_FAILURES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A file that could not be surveyed; *attempts* counts from 1."""

    file: str
    error: str
    message: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """
    What was done to a run.

    Attributes:
        repeated_starts: Starts that were lost with their worker and made again.
    """

    workers_killed: int = 0
    supervisors_killed: int = 0
    repeated_starts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyReport:
    """
    The outcome of one run.

    Attributes:
        totals: Sums over the files that could be read.
        failures: The others, by name.
        files: How many files there were.
        records: How many of them were seen to have exactly one terminal record.
        evicted: How many had a record that made room for later ones, unseen.
        tasks: Tasks run, those that summed up included.
        elapsed_ns: From the first enqueue to the last sum.
        latencies_ns: Of each file, from its enqueue to its result, ascending.
        faults: What was done to the run meanwhile.
    """

    totals: Totals
    failures: tuple[Failure, ...]
    files: int
    records: int
    evicted: int = 0
    tasks: int
    elapsed_ns: int
    latencies_ns: tuple[int, ...]
    faults: Faults

    @property
    def fingerprint(self) -> str:
        """A hash of what was found: equal for equal input, whatever was killed."""
        found = msgspec.json.encode((self.totals, self.failures), order="sorted")
        return hashlib.blake2b(found, digest_size=8).hexdigest()

    @property
    def is_complete(self) -> bool:
        """
        Whether each file is in the sums or failed, and none whose record is still
        there has another number of them than one.
        """
        accounted = self.totals.files + len(self.failures)
        return self.records + self.evicted == self.files == accounted

    @property
    def tasks_per_s(self) -> float:
        return self.tasks * 1e9 / max(1, self.elapsed_ns)

    def latency_ns(self, percentile: int) -> int:
        """Return the latency that *percentile* (1 to 100) of the files kept below."""
        if not self.latencies_ns:
            return 0
        rank = math.ceil(len(self.latencies_ns) * percentile / 100)
        return self.latencies_ns[rank - 1]

    def to_json(self) -> dict[str, object]:
        """Return the report as a plain map."""
        return {
            "files": self.files,
            "records": self.records,
            "recordsEvicted": self.evicted,
            "complete": self.is_complete,
            "fingerprint": self.fingerprint,
            "totals": asdict(self.totals),
            "failures": [asdict(it) for it in self.failures],
            "tasks": self.tasks,
            "seconds": self.elapsed_ns / 1e9,
            "tasksPerSecond": self.tasks_per_s,
            "latencyMs": {f"p{p}": self.latency_ns(p) / 1e6 for p in (50, 99)},
            "faults": asdict(self.faults),
        }


def show_report(report: SurveyReport, output: Output) -> None:
    """Write *report* for a person."""
    totals = report.totals
    output.table(
        ("lines", "bytes", "definitions", "file"),
        [(it.lines, it.size, it.definitions, it.file) for it in totals.biggest],
        title="The biggest files",
    )
    output.line()
    output.table(
        ("lines", "function", "file"),
        [(it.lines, it.name, it.file) for it in totals.longest],
        title="The longest functions",
    )
    output.line()
    if report.failures:
        _show_failures(report.failures, output)
    encodings = ", ".join(f"{n:,} {name}" for name, n in totals.encodings.items())
    output.facts(
        {
            "surveyed": f"{totals.files:,} files, {totals.lines:,} lines, "
            f"{totals.definitions:,} definitions, {totals.size / 1e6:,.1f} MB",
            "encodings": encodings or None,
            "records": f"{report.records:,} of {report.files:,} files ended in exactly "
            f"one terminal record{_evicted(report.evicted)}",
            "speed": f"{report.tasks_per_s:,.0f} tasks/s: {report.tasks:,} in "
            f"{report.elapsed_ns / 1e9:,.2f} s",
            "latency": f"p50 {report.latency_ns(50) / 1e6:,.1f} ms, "
            f"p99 {report.latency_ns(99) / 1e6:,.1f} ms from enqueue to result",
            "faults": _faults(report.faults),
            "report": report.fingerprint,
        }
    )


def _evicted(count: int) -> str:
    return f"; those of {count:,} made room before they were seen" if count else ""


def _show_failures(failures: Sequence[Failure], output: Output) -> None:
    shown = failures[:_FAILURES_SHOWN]
    output.table(
        ("attempts", "file", "error", "why"),
        [(it.attempts, it.file, it.error, it.message) for it in shown],
        title=f"Failed: {len(failures):,} files",
    )
    if len(shown) < len(failures):
        output.line(f"and {len(failures) - len(shown):,} more, see --json")
    output.line()


def _faults(faults: Faults) -> str:
    if not faults.workers_killed and not faults.supervisors_killed:
        again = f", {faults.repeated_starts:,} starts repeated"
        return "none" + (again if faults.repeated_starts else "")
    return (
        f"{faults.workers_killed:,} workers and {faults.supervisors_killed:,} "
        f"supervisor killed, {faults.repeated_starts:,} starts repeated"
    )
