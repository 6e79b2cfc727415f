"""
A process that can be killed: the host of a named ring, or a producer attached to it.

``python -m tests.fault.program host|producer RING LEDGER JOURNAL --seed N --count N``
enqueues *count* tasks, then waits to be killed. The ledger is append-only: a line
before each ``enqueue`` with the id it will have, and one when it returned.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stem_actor import StemApp, TaskEnqueueOptions
from stem_actor.ids import format_id, new_id
from tests.fault.jobs import ACCEPTED, MEANT, Plan, make_app, plan_of
from tests.fault.journal import append_line

__all__ = ["Ledger", "program", "read_ledger"]

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a producer said before it died: accepted tasks, and perhaps one more."""

    accepted: dict[str, Plan] = field(default_factory=dict)
    perhaps: dict[str, Plan] = field(default_factory=dict)


def read_ledger(path: Path) -> Ledger:
    """Return what the ledger at *path* says; nothing if it was never begun."""
    ledger = Ledger()
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        word, task_id, seed, number = line.split()
        if word == MEANT:
            ledger.perhaps[task_id] = plan_of(int(seed), int(number))
        else:
            ledger.accepted[task_id] = ledger.perhaps.pop(task_id)
    return ledger


@contextmanager
def program(
    role: str, ring: Path, ledger: Path, journal: Path, *, seed: int, count: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one beside the block; it is dead and reaped after it."""
    command = [
        sys.executable, "-m", "tests.fault.program", role, str(ring), str(ledger),
        str(journal), "--seed", str(seed), "--count", str(count),
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def submit(app: StemApp, journal: str, ledger: Path, seed: int, count: int) -> None:
    """Enqueue *count* tasks with ids that are known beforehand."""
    for number in range(count):
        plan = plan_of(seed, number)
        task_id = format_id(new_id())
        append_line(ledger, f"{MEANT} {task_id} {seed} {number}")
        app.enqueue(
            plan.name,
            {"journal": journal, **plan.args},
            enqueue_options=TaskEnqueueOptions(task_id=task_id),
        )
        append_line(ledger, f"{ACCEPTED} {task_id} {seed} {number}")


def main() -> None:
    """Be one; never returns before it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("host", "producer"))
    parser.add_argument("ring", type=Path)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("journal")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    app = make_app(f"ring://{options.ring}", options.ring.parent)
    if options.role == "host":
        app.start()
    submit(app, options.journal, options.ledger, options.seed, options.count)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
