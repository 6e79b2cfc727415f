"""
A run of tasks under fire, and its audit.

``python -m tests.fault.soak --tasks N --seed S [--faults …] [--seconds T]`` prints the
findings, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Final

import psutil

from stem_actor import StemApp, TaskHandle, as_completed
from stem_actor.ring.directory import RingDirectory
from tests.fault import evidence
from tests.fault.auditor import audit
from tests.fault.chaos import FAULTS, Tree
from tests.fault.figures import recoveries
from tests.fault.jobs import (
    Plan,
    children_ledger,
    expected_value,
    make_app,
    make_plan,
)
from tests.fault.journal import Mark, read_journal
from tests.fault.program import Ledger, read_ledger
from tests.fault.traces import Evidence, Kill

__all__ = ["Soak", "chaos", "wait_until"]

ROOT: Final = Path(__file__).resolve().parents[2]
_DRAIN_S: Final = 40.0
_BATCH: Final = 20


@dataclass(slots=True)
class Report:
    """
    What a chaos process said when it ended.

    Attributes:
        losses: Workers that its faults can have cost.
        done: How many of each kind hit somebody.
        kills: Whom it killed; None if faults were made by somebody else.
    """

    losses: int = 0
    done: dict[str, int] = field(default_factory=dict)
    kills: list[Kill] | None = None


@dataclass
class Soak:
    """
    Tasks submitted to *app* until the faults stop, then drained and audited.

    Attributes:
        concurrency: Of the workers of *app*; above 1, most tasks are coroutines.
        is_ordered: Whether one worker runs everything.
        recovery_max_ns: From a kill to the next start of what it hit.
        memory: What belonged to each supervisor alone, sampled as the run went on.
        plans: What was accepted.
        perhaps: What producers that died had not said to be accepted.
        handles: The handles of these, those of this process.
        findings: What was found by the run itself: values, leaks, wedges.
    """

    app: StemApp
    journal: Path
    rng: Random
    plans: dict[str, Plan] = field(default_factory=dict)
    perhaps: dict[str, Plan] = field(default_factory=dict)
    handles: dict[str, TaskHandle[Any]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    report: Report = field(default_factory=Report)
    concurrency: int = 1
    is_ordered: bool = False
    recovery_max_ns: int = 10**10
    memory: dict[int, list[int]] = field(default_factory=dict)

    def submit(self, count: int) -> list[TaskHandle[Any]]:
        """Enqueue *count* tasks of every kind."""
        return [
            self.enqueue(
                make_plan(len(self.plans), self.rng, concurrent=self.concurrency > 1)
            )
            for _ in range(count)
        ]

    def enqueue(self, plan: Plan) -> TaskHandle[Any]:
        """Enqueue one task that has to end as *plan* says."""
        args = {"journal": str(self.journal), **plan.args}
        handle = self.app.enqueue(plan.name, args)
        self.plans[handle.id] = plan
        self.handles[handle.id] = handle
        return handle

    def under_fire(
        self,
        faults: Sequence[str],
        *,
        seed: int,
        seconds: float,
        tasks: int,
        hold: float = 0.4,
    ) -> None:
        """
        Submit while *faults* happen, at most *tasks*; then drain.

        Half of each batch is waited for, so that the run lasts as long as the faults
        and handles are read in every phase of a recovery.
        """
        with chaos(self.app.directory, faults, seed, seconds, hold) as process:
            self.report = process.report
            while process.is_running:
                self.weigh()
                if len(self.plans) < tasks:
                    waited = self.submit(_BATCH)[: _BATCH // 2]
                    list(as_completed(waited, timeout=_DRAIN_S))
                else:
                    self.app.stats()
                    process.wait(0.02)
        self.drain()
        self.weigh()

    def weigh(self) -> None:
        """Sample the supervisor's memory; while none lives there is nothing to."""
        pid = self.app.directory.owner()
        with suppress(psutil.NoSuchProcess):
            if pid:
                size = evidence.private_bytes(pid)
                self.memory.setdefault(pid, []).append(size)

    def drain(self) -> None:
        """I7: after the faults everything ends, and a probe is served."""
        handles = list(self.handles.values())
        try:
            for _ in as_completed(handles, timeout=_DRAIN_S):
                pass
            probe = self.submit(1)[0]
            probe.wait(_DRAIN_S)
            if not wait_until(self._is_idle, _DRAIN_S):  # children have no handle here
                raise TimeoutError("tasks are live after the last was waited for")
        except TimeoutError as error:
            self.findings.append(f"I7: {error}; health: {self.app.health()}")
        for task_id, handle in self.handles.items():
            plan = self.plans[task_id]
            if not handle.done or plan.state != "succeeded":
                continue
            result = handle.wait(0)
            if result.is_succeeded and result.value != expected_value(plan):
                self.findings.append(f"I2: {task_id} returned what is not its own")

    def take_over(self, ledger: Ledger) -> None:
        """Audit the tasks of another producer too; it must be dead."""
        self.plans.update(ledger.accepted)
        self.perhaps.update(ledger.perhaps)

    def audit(self) -> list[str]:
        """Return every finding; the ring must still be there."""
        return self.findings + audit(self.evidence())

    def evidence(self) -> Evidence:
        """Collect what every store says."""
        directory = self.app.directory
        handles = self.handles.items()
        self.take_over(read_ledger(children_ledger(self.journal)))
        # The letter is written before the slot lets go of it, but after the reply.
        wait_until(lambda: len(evidence.letters(directory)) >= self._failures(), 10)
        wait_until(lambda: not self.app.health()["problems"], 10)
        lines = read_journal(self.journal)
        deaths = self.report.losses
        if self.concurrency > 1:  # a coroutine that kills is a loss to its neighbours
            poison = {key for key, plan in self.plans.items() if plan.is_poison}
            starts = (line for line in lines if line.mark is Mark.START)
            deaths += sum(line.task_id in poison for line in starts)
        return Evidence(
            accepted=self.plans,
            perhaps=self.perhaps,
            told={key: evidence.told(it) for key, it in handles if it.done},
            kept=evidence.slots(directory),
            letters=evidence.letters(directory),
            lines=lines,
            losses=deaths * self.concurrency,
            kills=self.report.kills,
            tolls=evidence.tolls(directory),
            counters=evidence.counters(self.app),
            concurrency=self.concurrency,
            ordered=tuple(self.handles) if self.is_ordered else (),
            recovery_max_ns=self.recovery_max_ns,
            memory=self.memory,
        )

    def _is_idle(self) -> bool:
        return bool(self.app.stats()["live"] == 0)

    def _failures(self) -> int:
        return sum(plan.state == "failed" for plan in self.plans.values())


def _kill_of(row: dict[str, Any]) -> Kill:
    """A kill as it was before it was printed as JSON."""
    workers = tuple((int(pid), int(born)) for pid, born in row.pop("workers"))
    pid, born = row.pop("victim")
    return Kill(**row, victim=(pid, born), workers=workers)


class ChaosProcess:
    """A running chaos process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.report = Report()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> None:
        """Pass time, at most until it ends."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return

    def finish(self) -> None:
        """Take its report."""
        out, _ = self._process.communicate(timeout=_DRAIN_S)
        if self._process.returncode:
            raise AssertionError("the chaos process failed, see its stderr")
        told = json.loads(out)
        self.report.losses, self.report.done = told["losses"], told["done"]
        self.report.kills = [_kill_of(row) for row in told["kills"]]


@contextmanager
def chaos(
    directory: RingDirectory,
    faults: Sequence[str],
    seed: int,
    seconds: float,
    hold: float = 0.4,
) -> Iterator[ChaosProcess]:
    """Run a chaos process beside the block; the report is whole at the block's end."""
    command = [
        sys.executable, "-m", "tests.fault.chaos", str(directory.path),
        "--seed", str(seed), "--seconds", str(seconds),
        "--faults", ",".join(faults), "--hold", str(hold),
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        running = ChaosProcess(process)
        try:
            yield running
            running.finish()
        finally:
            process.kill()


def wait_until(condition: Any, seconds: float) -> bool:
    """Look until *condition* holds; False if it does not within *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        os.sched_yield()
    return True


def main() -> int:
    """One run; prints the findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--hold", type=float, default=1.0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        journal = root / "journal"
        journal.mkdir()
        slots = max(4096, 1 << (2 * options.tasks).bit_length())
        app = make_app(
            "ring://", root, slots=slots, arena_bytes=max(8 << 20, slots << 10)
        )
        with app:
            soak = Soak(app, journal, Random(options.seed))
            soak.under_fire(
                options.faults.split(","), seed=options.seed,
                seconds=options.seconds, tasks=options.tasks, hold=options.hold,
            )  # fmt: skip
            left = Tree(app.directory).zygotes()
            findings = soak.audit()
            times = sorted(chain(*recoveries(soak.evidence()).values()))
    for finding in findings:
        print(finding)
    print(
        f"{len(soak.plans)} tasks, {sum(soak.report.done.values())} faults "
        f"{soak.report.done}, {len(left)} zygotes, {len(findings)} findings, "
        f"{time.monotonic() - began:.1f} s"
    )
    if times:
        half, most = times[len(times) // 2], times[len(times) * 99 // 100]
        print(
            f"{len(times)} starts lost; begun again after p50 {half / 1e6:.1f} ms, "
            f"p99 {most / 1e6:.1f} ms, max {times[-1] / 1e6:.1f} ms"
        )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
