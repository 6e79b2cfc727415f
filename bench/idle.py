"""What stem_actor costs while it does nothing, and what it keeps after doing much."""

from __future__ import annotations

import os
import time

from bench import processes
from bench.harness import Effort, Figure, figure_of, repeat
from stem_actor import StemApp, TaskResult

PATIENCE_S = 60.0
FEW, MANY = 2, 6
WINDOW = 2_048
FAIL_EVERY = 100
#: Lives before the first look at memory: retention has reached its bound by then.
SETTLE = 80_000

small = StemApp(workers=FEW)
large = StemApp(workers=MANY)


@small.task
def maybe(a: int) -> int:
    """Return *a*, or fail when it is a multiple of FAIL_EVERY."""
    if a % FAIL_EVERY == 0:
        raise ValueError("one of the failures that are mixed in")
    return a


@large.task
def pass_through(a: int) -> int:
    """Return *a*."""
    return a


def _supervisor() -> int:
    [pid] = processes.by_role(os.getpid())["supervisor"]
    return pid


def idle_cpu(seconds: float) -> dict[str, float]:
    """Return role → per cent of a core over *seconds* without a task."""
    roles = processes.settled(os.getpid(), FEW)
    before, began = processes.cpu_by_role(roles), time.monotonic_ns()
    time.sleep(seconds)
    passed, after = time.monotonic_ns() - began, processes.cpu_by_role(roles)
    return {role: 100 * (after[role] - before[role]) / passed for role in roles}


def tree_pss(workers: int) -> int:
    """Return the memory of the guardian and everything below it, in bytes."""
    roles = processes.settled(os.getpid(), workers)
    del roles["host"]
    return sum(processes.pss(pids) for pids in roles.values())


def work_off(count: int) -> None:
    """Run *count* tasks, one in FAIL_EVERY failing, and read every result."""
    for start in range(1, count + 1, WINDOW):
        upto = min(start + WINDOW, count + 1)
        handles = maybe.map(range(start, upto))
        results: list[TaskResult[int]] = [h.wait(PATIENCE_S) for h in handles]
        failed = sum(result.is_failed for result in results)
        assert failed == sum(n % FAIL_EVERY == 0 for n in range(start, upto))


def measure(effort: Effort) -> list[Figure]:
    """Return idle CPU, memory per extra worker, and the supervisor's growth."""
    count = effort.pick(1_000_000, 100_000)
    with small:
        assert maybe.enqueue(1).result(PATIENCE_S) == 1
        seconds = effort.pick(10, 3)
        idle = repeat(lambda: idle_cpu(seconds), Effort(3, 0, effort.quick))
        small_pss = tree_pss(FEW)
        work_off(SETTLE)
        supervisor = _supervisor()
        before = processes.heap(supervisor), processes.resident(supervisor)
        work_off(count)
        assert _supervisor() == supervisor, "the supervisor was restarted meanwhile"
        after = processes.heap(supervisor), processes.resident(supervisor)
    with large:
        assert pass_through.enqueue(1).result(PATIENCE_S) == 1
        large_pss = tree_pss(MANY)
    heap, resident = (
        (late - early) / 2**20 for early, late in zip(before, after, strict=True)
    )
    extra = (large_pss - small_pss) / (MANY - FEW) / 2**20
    cpu = {role: [sample[role] for sample in idle] for role in idle[0]}
    over = f"{seconds} s a run"
    lives = f"{count:,} lives after {SETTLE:,}, 1 in {FAIL_EVERY} fails"
    return [
        figure_of(
            "idle supervisor", "% CPU", cpu["supervisor"], goal="≤ 0.5 %", note=over
        ),
        figure_of(
            f"idle workers, {FEW} and a spare", "% CPU", cpu["worker"], note=over
        ),
        figure_of("memory per extra idle worker", "MiB", [extra], goal="≤ 8 MiB"),
        figure_of("supervisor growth, heap", "MiB", [heap], goal="< 2 MiB", note=lives),
        figure_of("supervisor growth, with arena pages", "MiB", [resident]),
    ]
