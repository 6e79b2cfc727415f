"""A run of the survey: every file through the workers, and the sums over them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from stem_actor import StemApp, TaskHandle, TaskResult, as_completed
from stem_actor.cli.chaos import Chaos
from stem_actor.cli.survey import (
    FileFacts,
    Totals,
    gather,
    sum_up,
    survey_file,
    survey_file_under_fire,
)
from stem_actor.cli.survey_report import Failure, Faults, SurveyReport

__all__ = ["SourceFile", "SurveyRun", "find_sources"]

#: A run that takes longer is stuck, not slow: each start has a hard limit.
_LONGEST_S: Final = 1800.0
#: How long ``enqueue`` waits for room; more files than slots are no mistake here.
_ROOM_S: Final = 600.0
_FACTS_A_SUM: Final = 64
_SUMS_A_SUM: Final = 16
T = TypeVar("T")

_SKIPPED: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to survey; *name* is what the report calls it, *size* is in bytes."""

    path: bytes
    name: str
    size: int


def find_sources(root: Path) -> list[SourceFile]:
    """
    Return the Python files below *root*, the biggest first.

    Biggest first, so that no worker is left with a long one at the end. Installed
    packages are left out; links are not followed.
    """
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _SKIPPED]
        for name in names:
            path = Path(folder, name)
            if name.endswith(".py") and path.is_file() and not path.is_symlink():
                raw = os.fsencode(path.relative_to(root))
                shown = raw.decode("utf-8", "backslashreplace")
                found.append(SourceFile(os.fsencode(path), shown, path.stat().st_size))
    return sorted(found, key=lambda it: (-it.size, it.name))


class SurveyRun:
    """
    One run over *files*; the app is started.

    Args:
        on_end: Called with the name of each file that has ended.
        chaos: Whether processes are killed meanwhile; *rng* then chooses them.
    """

    def __init__(
        self,
        app: StemApp,
        files: Sequence[SourceFile],
        *,
        on_end: Callable[[str], None],
        chaos: bool,
        rng: Random,
    ) -> None:
        self._app = app
        self._files = files
        self._on_end = on_end
        self._chaos = chaos
        self._rng = rng
        self._results: dict[str, TaskResult[FileFacts]] = {}
        self._bytes_done = 0
        self._latencies_ns: list[int] = []
        self._summing = 0
        self._slots = int(app.stats()["slots"])

    def run(self) -> SurveyReport:
        """
        Survey every file, then sum up.

        Raises:
            ResultTimeout: If some have not ended after half an hour.
        """
        began_ns = time.monotonic_ns()
        killed = Faults()
        if self._chaos:
            with self._make_chaos() as chaos:
                self._survey()
            killed = Faults(
                workers_killed=chaos.worker_kills,
                supervisors_killed=chaos.supervisor_kills,
            )
        else:
            self._survey()
        totals = self._sum_up()
        elapsed_ns = time.monotonic_ns() - began_ns
        return self._report(totals, killed, elapsed_ns)

    # --- inside

    def _survey(self) -> None:
        job = survey_file_under_fire if self._chaos else survey_file
        patient = job.with_options(enqueue_timeout=_ROOM_S)
        sent: dict[str, tuple[SourceFile, int]] = {}
        handles: list[TaskHandle[FileFacts]] = []
        for file in self._files:
            now = time.monotonic_ns()
            handle = patient.enqueue(file.path, file.name)
            sent[handle.id] = file, now
            handles.append(handle)
        for handle in as_completed(handles, timeout=_LONGEST_S):
            file, enqueued_ns = sent[handle.id]
            self._latencies_ns.append(time.monotonic_ns() - enqueued_ns)
            self._results[file.name] = handle.wait(0)
            self._bytes_done += file.size
            self._on_end(file.name)

    def _sum_up(self) -> Totals:
        """Have workers add up, in a tree: no payload grows with the number of files."""
        facts = [
            result.required_value()
            for _, result in sorted(self._results.items())
            if result.is_succeeded
        ]
        sums = self._gathered([(chunk, []) for chunk in _chunks(facts, _FACTS_A_SUM)])
        while len(sums) > 1:
            sums = self._gathered([([], it) for it in _chunks(sums, _SUMS_A_SUM)])
        return sums[0] if sums else sum_up([])

    def _gathered(
        self, batches: Sequence[tuple[list[FileFacts], list[Totals]]]
    ) -> list[Totals]:
        handles = [gather.enqueue(files, parts) for files, parts in batches]
        self._summing += len(handles)
        return [handle.result(_LONGEST_S) for handle in handles]

    def _report(self, totals: Totals, killed: Faults, elapsed_ns: int) -> SurveyReport:
        results = self._results
        repeated = 0
        failures = []
        records = evicted = 0
        for name, result in results.items():
            has_one = self._has_one_record(result)
            records += has_one is True
            evicted += has_one is None
            status = result.status
            if status is not None:
                repeated += max(0, status.starts - status.attempt - 1)
            if not result.is_succeeded:
                failures.append(_failure(name, result))
        return SurveyReport(
            totals=totals,
            failures=tuple(sorted(failures)),
            files=len(self._files),
            records=records,
            evicted=evicted,
            tasks=len(results) + self._summing,
            elapsed_ns=elapsed_ns,
            latencies_ns=tuple(sorted(self._latencies_ns)),
            faults=Faults(
                workers_killed=killed.workers_killed,
                supervisors_killed=killed.supervisors_killed,
                repeated_starts=repeated,
            ),
        )

    def _has_one_record(self, result: TaskResult[FileFacts]) -> bool | None:
        """
        Whether the supervisor's record says what the handle was told; None: it made
        room for those of later tasks.

        A second ending of the task would have changed its state, attempt or starts.
        """
        told, kept = result.status, self._app.status(result.task_id)
        if told is None or not told.is_terminal:
            return False
        if kept is None:
            return None if self._tasks_run > self._slots // 2 else False
        mine = (told.state, told.attempt, told.starts)
        return mine == (kept.state, kept.attempt, kept.starts)

    @property
    def _tasks_run(self) -> int:
        return len(self._files) + self._summing

    def _make_chaos(self) -> Chaos:
        # In bytes: the second half of the files is done in no time.
        app, total = self._app, max(1, sum(it.size for it in self._files))
        return Chaos(
            workers=lambda: [
                it.pid for it in app.workers() if it.pid and not it.is_spare
            ],
            supervisor=app.directory.owner,
            done=lambda: self._bytes_done / total,
            rng=self._rng,
        )


def _failure(name: str, result: TaskResult[FileFacts]) -> Failure:
    status = result.status
    if status is None:
        return Failure(name, "unknown", "it has no record", 0)
    attempts = status.attempt + 1
    if status.error is None:
        return Failure(name, str(status.state), str(status.meta), attempts)
    return Failure(name, status.error.type, status.error.message, attempts)


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for at in range(0, len(items), size):
        yield list(items[at : at + size])
