"""
The auditor: compares everything that every store says about a run.

``audit`` is pure: evidence in, findings out. Collecting it is ``evidence``'s work.
Invariants: I1 no loss, I2 one terminal record, I3 starts and attempts exact, I4 no
overlap; I5, I8, I9 and I10 are those of ``figures``. I6 (leaks) and I7 (wedges) are
checked by the run itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tests.fault.figures import figures
from tests.fault.jobs import Plan
from tests.fault.journal import Line, Mark
from tests.fault.traces import Evidence, Record

__all__ = ["Evidence", "Record", "audit"]


def audit(evidence: Evidence) -> list[str]:
    """Return one line for each broken invariant; empty when all hold."""
    by_task: dict[str, list[Line]] = defaultdict(list)
    for line in evidence.lines:
        by_task[line.task_id].append(line)
    slots = _grouped(evidence.kept)
    letters = _grouped(evidence.letters)
    found = list(_strangers(evidence, set(by_task) | set(slots) | set(letters)))
    missing = 0
    for task_id, plan in {**evidence.perhaps, **evidence.accepted}.items():
        records = slots.get(task_id, [])
        told = evidence.told.get(task_id)
        traces = task_id in slots or task_id in letters or task_id in by_task
        if task_id not in evidence.accepted and not traces:
            continue  # its producer died before it was accepted
        found += _terminal(task_id, plan, told, records, letters.get(task_id, []))
        record = told or (records[0] if records else None)
        if record is None or record.state == "live":
            continue
        lines = by_task[task_id]
        found += _starts(task_id, plan, record, lines)
        found += _overlaps(task_id, lines)
        missing += max(0, record.starts - _count(lines, Mark.START))
    if missing > evidence.losses:
        found.append(
            f"I3: {missing} starts are in no journal, {evidence.losses} can be"
        )
    return [*found, *figures(evidence)]


def _grouped(rows: Sequence[tuple[str, Record]]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for task_id, record in rows:
        found[task_id].append(record)
    return dict(found)


def _strangers(evidence: Evidence, seen: set[str]) -> Iterator[str]:
    known = evidence.accepted.keys() | evidence.perhaps.keys()
    for task_id in sorted(seen - known):
        yield f"I1: {task_id} was never enqueued, yet it left a trace"


def _terminal(
    task_id: str,
    plan: Plan,
    told: Record | None,
    kept: Sequence[Record],
    letters: Sequence[Record],
) -> Iterator[str]:
    """I1 and I2: one record everywhere, the same one, and the right one."""
    if not kept:
        yield f"I1: {task_id} ({plan.name}) is in no slot"
    if len(kept) > 1:
        yield f"I2: {task_id} is in {len(kept)} slots: {kept}"
    for record in kept:
        if record.state == "live":
            yield f"I7: {task_id} ({plan.name}) has not ended: {record}"
        elif told is not None and told != record:
            yield f"I2: {task_id}: the handle was told {told}, the slot holds {record}"
    final = told or (kept[0] if kept else None)
    if final is None or final.state == "live":
        return
    if final.state != plan.state:
        yield f"I2: {task_id} ({plan.name}) ended as {final}, not {plan.state}"
    if len(letters) != (final.state == "failed"):
        yield f"I2: {task_id} is {final.state} and has {len(letters)} dead letters"
    for letter in letters:
        if letter != final:
            yield f"I2: {task_id}: its letter says {letter}, its record {final}"


def _starts(
    task_id: str, plan: Plan, record: Record, lines: Sequence[Line]
) -> Iterator[str]:
    """I3: as many starts, of the same attempts, as the handlers wrote themselves."""
    starts = [line for line in lines if line.mark is Mark.START]
    if record.attempt != plan.attempt:
        yield f"I3: {task_id} ended in attempt {record.attempt}, not {plan.attempt}"
    if len(starts) > record.starts:
        yield f"I3: {task_id} has {len(starts)} starts, {record.starts} are recorded"
    ended = Counter(line.attempt for line in lines if line.mark is Mark.END)
    began = Counter(line.attempt for line in starts)
    if extra := sorted(set(began) - set(range(record.attempt + 1))):
        yield f"I3: {task_id} was started in attempts {extra}, after its last"
    # Every attempt that was settled by its handler ran to its end in some start.
    for attempt in range(0 if plan.is_poison else record.attempt + 1):
        if not ended[attempt]:
            yield f"I3: {task_id} has no start that ended in attempt {attempt}"
    order = [line.attempt for line in starts]
    if order != sorted(order):
        yield f"I3: {task_id} went back to an earlier attempt: {order}"


def _overlaps(task_id: str, lines: Sequence[Line]) -> Iterator[str]:
    """I4: a start begins after the end of the one before, or after its death."""
    running: Line | None = None
    for line in lines:
        if line.mark is Mark.OVERLAP:
            yield f"I4: {task_id} was started while process {line.pid} still had it"
        elif line.mark is Mark.START:
            running = line
        elif running is None or (line.pid, line.born) != (running.pid, running.born):
            yield f"I4: {task_id} was ended by {line.pid}, which did not run it last"


def _count(lines: Sequence[Line], mark: Mark) -> int:
    return sum(line.mark is mark for line in lines)
