"""
Kill real workers at each crash point that they pass, and audit what is left.

``python -m tests.fault.worker_points sync|async [--pairs N] [--seed S]``, with the
crash-point build first on the path. A round of tasks has one kill, at one more point
than the round before, until a round passes fewer points than that. Then *pairs* rounds
with a kill of a worker and one of the supervisor, both at random points. Prints the
points at which workers died as one line of JSON; exits with 1 if there are findings.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import monotonic_ns
from typing import Any, Final

from stem_actor import StemApp
from stem_actor.actor.host import host
from tests.fault.crashpoints import CrashPage, armed_supervisor
from tests.fault.jobs import SPOOLED_BYTES, Plan, make_app
from tests.fault.journal import Mark, read_journal
from tests.fault.soak import Soak, wait_until

#: Workers that die between tasks count against the restart budget of ten; a new tree
#: begins with a new one.
_KILLS_A_TREE: Final = 8
_SETTLE_S: Final = 30.0
#: More than there are in a round: a count of points that never ends is a wedge.
_POINTS_MAX: Final = 400
_AT_ONCE: Final = 4
#: The point behind each commit: of an outcome, of a child, of progress.
_COMMITTED: Final = "ring.published"


class Rounds:
    """
    Rounds of tasks on trees that are renewed now and then.

    Attributes:
        died: At which points workers died.
        findings: What the audits found.
    """

    def __init__(self, root: Path, *, is_async: bool) -> None:
        self._root = root
        self._is_async = is_async
        self._trees = 0
        self.died: Counter[str] = Counter()
        self.findings: list[str] = []

    def each_point(self) -> None:
        """Kill at the first point, at the second, and so on to the last."""
        ahead, is_last = 1, False
        while not is_last:
            with self._tree() as (soak, workers, _):
                for _ in range(_KILLS_A_TREE):
                    workers.arm(ahead)
                    since_ns = monotonic_ns()
                    self._play(soak)
                    if workers.victim == _COMMITTED:
                        self.findings += _run_again(soak, since_ns)
                    is_last = not workers.is_over
                    if is_last:
                        break
                    soak.report.losses += 1
                    self.died[workers.victim] += 1
                    ahead += 1
                assert ahead < _POINTS_MAX, "a round that is played again never ends"

    def pairs(self, count: int, rng: Random) -> None:
        """Kill a worker and the supervisor at random points, *count* times."""
        for _ in range(-(-count // _KILLS_A_TREE)):
            with self._tree() as (soak, workers, supervisors):
                for _ in range(_KILLS_A_TREE):
                    workers.arm(rng.randrange(1, 60))
                    supervisors.arm(rng.randrange(1, 120))
                    self._play(soak)
                    self.died[workers.victim or "none"] += 1
                    # Both may have been armed again by what the other has cost.
                    soak.report.losses += 6

    @contextmanager
    def _tree(self) -> Iterator[tuple[Soak, CrashPage, CrashPage]]:
        self._trees += 1
        root = self._root / f"tree-{self._trees}"
        journal = root / "journal"
        journal.mkdir(parents=True, mode=0o700)
        workers = CrashPage(root / "workers.page")
        supervisors = CrashPage(root / "supervisors.page")
        _arm_supervisors(supervisors.path)
        concurrency = _AT_ONCE if self._is_async else 1
        app = make_app("ring://", root, workers=1, concurrency=concurrency)
        app.worker_init(CrashPage(workers.path).enter)
        try:
            with app:
                soak = Soak(app, journal, Random(self._trees), concurrency=concurrency)
                yield soak, workers, supervisors
                workers.disarm()
                supervisors.disarm()
                soak.drain()
                self.findings += soak.audit()
        finally:
            workers.close()
            supervisors.close()

    def _play(self, soak: Soak) -> None:
        """Enqueue one of each, wait for them and for their children."""
        first, *others = _plans("a" if self._is_async else "", len(soak.plans))
        # Alone, so that its points are passed in the same order in every round.
        soak.enqueue(first).wait(_SETTLE_S)
        for handle in [soak.enqueue(plan) for plan in others]:
            handle.wait(_SETTLE_S)
        app = soak.app
        if not wait_until(lambda: _live(app) == 0, _SETTLE_S):
            self.findings.append(f"I7: a round has not ended: {app.health()}")


def _arm_supervisors(page: Path) -> None:
    """Let the next tree's supervisors die at points of *page*."""
    argv = armed_supervisor(page)

    def supervisor_argv(directory: Path, python: str) -> tuple[str, ...]:
        return argv(directory, python)

    host.supervisor_argv = supervisor_argv


def _run_again(soak: Soak, since_ns: int) -> Iterator[str]:
    """
    Yield what was run again in a round in which a worker died behind a commit.

    A handler that has written its end reports without a pause. So whatever had ended
    was committed, and stands; before the commit it would rightly run once more.
    """
    ended: set[tuple[str, int]] = set()
    for line in read_journal(soak.journal):
        key = line.task_id, line.attempt
        if line.at_ns < since_ns:
            continue
        if line.mark is Mark.END:
            ended.add(key)
        elif key in ended:
            yield f"I2: {line.task_id} ran again though its outcome was committed"


def _live(app: StemApp) -> int:
    return int(str(app.stats()["live"]))


def _plans(prefix: str, number: int) -> list[Plan]:
    work = f"{prefix}work"
    args: list[dict[str, Any]] = [
        {"children": 1, "seed": 1},
        {"retries": 1},
        {"blob": "b" * SPOOLED_BYTES, "grow": SPOOLED_BYTES},
    ]
    plans = [
        Plan(work, {"number": number + at, **more}, "succeeded", more.get("retries", 0))
        for at, more in enumerate(args)
    ]
    return [*plans, Plan("hopeless", {"number": number + 3}, "failed", 2)]


def main() -> int:
    """Every point once, then the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("sync", "async"))
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rounds = Rounds(Path(place), is_async=options.kind == "async")
        if options.pairs:
            rounds.pairs(options.pairs, Random(options.seed))
        else:
            rounds.each_point()
    print(json.dumps(rounds.died))
    for finding in rounds.findings:
        print(finding, file=sys.stderr)
    return 1 if rounds.findings else 0


if __name__ == "__main__":
    sys.exit(main())
