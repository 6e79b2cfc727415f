"""
Producers that are killed at each crash point of the submit path.

``python -m tests.fault.producer_points RING FOLDER JOURNAL``, with the crash-point
build first on the path, forks producers, each armed with one more point than the one
before, until one lives to its end. Each enqueues a few tasks, a large one among them,
and waits for their results. FOLDER gets a ledger of each; the points at which they died
are printed as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from stem_actor import StemApp, TaskEnqueueOptions
from stem_actor.ids import format_id, new_id
from tests.fault.crashpoints import CrashPage
from tests.fault.jobs import ACCEPTED, MEANT, make_app, plan_of
from tests.fault.journal import append_line

#: More than a producer passes here: one that never lives to its end is a wedge.
_POINTS_MAX: Final = 400
_WAIT_S: Final = 20.0
_SINGLES: Final = 2


def numbers(seed: int) -> Iterator[int]:
    """Yield numbers of plans: some at random, then one that is spooled."""
    rng = Random(seed)
    for _ in range(_SINGLES):
        yield rng.randrange(1 << 20)
    at = rng.randrange(1 << 20)
    while "blob" not in plan_of(seed, at).args:
        at += 1
    yield at


def live(app: StemApp, journal: str, ledger: Path, seed: int) -> None:
    """Be a producer from its first call to its last, or to its death."""
    handles = []
    for number in numbers(seed):
        plan, task_id = plan_of(seed, number), format_id(new_id())
        append_line(ledger, f"{MEANT} {task_id} {seed} {number}")
        handle = app.enqueue(
            plan.name,
            {"journal": journal, **plan.args},
            enqueue_options=TaskEnqueueOptions(task_id=task_id),
        )
        append_line(ledger, f"{ACCEPTED} {task_id} {seed} {number}")
        handles.append(handle)
    for handle in handles:
        handle.wait(_WAIT_S)


def main() -> int:
    """Fork one producer after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ring", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("journal")
    options = parser.parse_args()
    died: Counter[str] = Counter()
    for ahead in range(1, _POINTS_MAX):
        page = CrashPage(options.folder / f"{ahead}.page")
        page.arm(ahead)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                page.enter()
                app = make_app(f"ring://{options.ring}", options.ring.parent)
                ledger = options.folder / f"{ahead}.ledger"
                live(app, options.journal, ledger, ahead)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        victim = page.victim
        page.close()
        if os.WIFEXITED(status):
            print(json.dumps(died))
            return os.WEXITSTATUS(status)
        died[victim] += 1
    print("a producer that is started again never ends", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
