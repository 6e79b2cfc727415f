"""
The invariants with a figure in them: how soon, in which order, how large, how counted.

Pure, as the auditor is: I5 bounded recovery, I8 order, I9 the supervisor's memory,
I10 counters that tell what was done to the ring.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.fault.journal import Line, Mark
from tests.fault.traces import Counters, Evidence, Kill

__all__ = ["figures", "recoveries"]

#: A poison task ends by this crash.
_LETHAL = 3


def figures(evidence: Evidence) -> Iterator[str]:
    """Yield one line for each broken invariant of I5, I8, I9, I10."""
    yield from _recovery(evidence)
    yield from _order(evidence)
    yield from _memory(evidence)
    if evidence.counters is not None:
        yield from _counters(evidence, evidence.counters)


def recoveries(evidence: Evidence) -> dict[str, list[int]]:
    """
    Return by task how long each lost start took to begin again, in nanoseconds.

    A start is lost if its process was killed before it wrote an end. Poison kills its
    own process as soon as it has written its start.
    """
    killed_at = {
        process: kill.at_ns
        for kill in reversed(evidence.kills or ())
        for process in kill.workers
    }
    found: dict[str, list[int]] = defaultdict(list)
    plans = {**evidence.perhaps, **evidence.accepted}
    for task_id, lines in _by_task(evidence.lines).items():
        ended = {(it.pid, it.born, it.attempt) for it in lines if it.mark is Mark.END}
        starts = [line for line in lines if line.mark is Mark.START]
        for before, after in pairwise(starts):
            if (before.pid, before.born, before.attempt) in ended:
                continue
            died = killed_at.get((before.pid, before.born))
            if died is None and task_id in plans and plans[task_id].is_poison:
                died = before.at_ns
            # A kill that came before the start killed somebody else first: the
            # signal was on its way while the start was written.
            if died is not None:
                found[task_id].append(after.at_ns - max(died, before.at_ns))
    return dict(found)


def _recovery(evidence: Evidence) -> Iterator[str]:
    for task_id, times in recoveries(evidence).items():
        worst = max(times)
        if worst > evidence.recovery_max_ns:
            yield (
                f"I5: {task_id} began again {worst / 1e6:.0f} ms after its worker's "
                f"death, {evidence.recovery_max_ns / 1e6:.0f} ms are allowed"
            )


def _order(evidence: Evidence) -> Iterator[str]:
    """I8: what met no fault starts in the order of the calls."""
    lines = _by_task(evidence.lines)
    records = {**dict(evidence.kept), **evidence.told}
    last, last_id = 0, ""
    for task_id in evidence.ordered:
        record = records.get(task_id)
        if record is None or record.starts != 1:
            continue
        starts = [it.at_ns for it in lines.get(task_id, []) if it.mark is Mark.START]
        if not starts:
            continue
        if starts[0] < last:
            yield f"I8: {task_id} was started before {last_id}, which came first"
        last, last_id = starts[0], task_id


def _memory(evidence: Evidence) -> Iterator[str]:
    for pid, samples in evidence.memory.items():
        grown = max(samples) - samples[0] if samples else 0
        if grown > evidence.growth_max:
            yield (
                f"I9: supervisor {pid} grew by {grown:,} bytes, "
                f"{evidence.growth_max:,} are allowed"
            )


def _counters(evidence: Evidence, counters: Counters) -> Iterator[str]:
    """I10: counters agree with the slots, and with the list of what was done."""
    yield from _sums(evidence, counters)
    if evidence.kills is not None:
        yield from _deaths(evidence, counters, evidence.kills)
    if counters.corrupt:
        yield f"I10: {counters.corrupt} rings count as corrupt; none was made so"
    if counters.letters != len(evidence.letters) or counters.letters_dropped:
        yield (
            f"I10: {counters.letters} dead letters are counted and "
            f"{counters.letters_dropped} dropped, {len(evidence.letters)} are there"
        )
    for problem in counters.problems:
        yield f"I10: health complains after the faults: {problem}"


def _sums(evidence: Evidence, counters: Counters) -> Iterator[str]:
    """A supervisor may die between a counter's store and its slot's: once a life."""
    slack = counters.epoch - 1
    tolls = evidence.tolls.values()
    sums = {
        "starts": sum(record.starts for _, record in evidence.kept),
        "crashes": sum(toll.crashes for toll in tolls),
        "collaterals": sum(toll.collaterals for toll in tolls),
    }
    for name, there in sums.items():
        counted = int(getattr(counters, name))
        if not there - slack <= counted <= there + slack:
            yield f"I10: {counted} {name} are counted, the slots tell of {there}"
    plans = {**evidence.perhaps, **evidence.accepted}
    states = dict(evidence.kept)
    for task_id, toll in evidence.tolls.items():
        plan = plans.get(task_id)
        if plan is None or not plan.is_poison or states[task_id].state != "failed":
            continue
        if toll.crashes != _LETHAL:
            yield f"I10: {task_id} (poison) ended by {toll.crashes} crashes"


def _deaths(
    evidence: Evidence, counters: Counters, kills: Sequence[Kill]
) -> Iterator[str]:
    """What the list of kills explains: not more, and not less."""
    begun = {kill.supervisor for kill in kills if kill.supervisor}
    felled = sum(kill.kind != "worker" for kill in kills)
    if not len(begun) <= counters.epoch - 1 <= felled:
        # Not every kill is a restart: a supervisor may die before its epoch, and a
        # zygote's death ends a tree only if it was the last.
        yield (
            f"I10: {counters.epoch - 1} supervisors were replaced, "
            f"{len(begun)} to {felled} were killed"
        )
    lost = {process for kill in kills for process in kill.workers}
    struck = {kill.victim for kill in kills if kill.kind == "worker"}
    poison = _poisoned(evidence)
    seen = lost | {(line.pid, line.born) for line in evidence.lines}
    # Each supervisor asks for a whole crew; a zygote's death undoes births in progress.
    most = counters.members * (1 + felled + counters.epoch - 1) + len(struck) + poison
    if not len(seen) <= counters.births <= most:
        yield (
            f"I10: {counters.births} workers were born, {len(seen)} were seen "
            f"and {most} can be explained"
        )
    guilty = poison + len(struck) + counters.epoch - 1
    # Who dies with the guardian may be seen dead by a supervisor that dies next.
    guilty += sum(len(kill.workers) for kill in kills if kill.kind == "guardian")
    if counters.crashes > guilty:
        yield (
            f"I10: {counters.crashes} crashes are counted, {guilty} can be explained"
        )
    # A supervisor's whole crew dies with it; a coroutine's neighbours with it, and all
    # of them if none was at work when their worker was struck.
    at_once = evidence.concurrency
    innocent = (counters.epoch - 1) * counters.members * at_once
    innocent += (len(struck) + poison) * at_once if at_once > 1 else 0
    if counters.collaterals > innocent:
        yield (
            f"I10: {counters.collaterals} collaterals are counted, "
            f"{innocent} can be explained"
        )


def _poisoned(evidence: Evidence) -> int:
    plans = {**evidence.perhaps, **evidence.accepted}
    return sum(
        line.mark is Mark.START
        and line.task_id in plans
        and plans[line.task_id].is_poison
        for line in evidence.lines
    )


def _by_task(lines: Sequence[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[line.task_id].append(line)
    return found
