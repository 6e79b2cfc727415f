"""The auditor itself: sound evidence passes, each doctored one is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.fault.auditor import Evidence, Record, audit
from tests.fault.jobs import Plan
from tests.fault.journal import Journal, Line, Mark, read_journal

GOOD: Final = "01890000-0000-7000-8000-000000000001"
TWICE: Final = "01890000-0000-7000-8000-000000000002"
BAD: Final = "01890000-0000-7000-8000-000000000003"
STRANGER: Final = "01890000-0000-7000-8000-0000000000ff"
DONE: Final = Record("succeeded", 0, 1)
RETRIED: Final = Record("succeeded", 1, 3)
DEAD: Final = Record("failed", 0, 3)

Doctor = Callable[[Evidence], Evidence]


def sound() -> Evidence:
    """One that succeeded, one with a retry and a lost start, one that is poison."""
    plans = {
        GOOD: Plan("work", {"number": 0}, "succeeded", 0),
        TWICE: Plan("work", {"number": 1, "retries": 1}, "succeeded", 1),
        BAD: Plan("poison", {"number": 2}, "failed", 0, is_poison=True),
    }
    records = {GOOD: DONE, TWICE: RETRIED, BAD: DEAD}
    return Evidence(
        accepted=plans,
        told=records,
        kept=list(records.items()),
        letters=[(BAD, DEAD)],
        lines=[
            line(Mark.START, GOOD, 0, 10, 1),
            line(Mark.END, GOOD, 0, 10, 2),
            line(Mark.START, TWICE, 0, 10, 3),
            line(Mark.END, TWICE, 0, 10, 4),
            line(Mark.START, TWICE, 1, 10, 5),  # its worker was killed
            line(Mark.START, TWICE, 1, 11, 6),
            line(Mark.END, TWICE, 1, 11, 7),
            *(line(Mark.START, BAD, 0, pid, pid) for pid in (12, 13, 14)),
        ],
        losses=0,
    )


def line(mark: Mark, task_id: str, attempt: int, pid: int, at_ns: int) -> Line:
    return Line(mark, task_id, attempt, pid, 1, at_ns)


def records(**changes: Record | None) -> Doctor:
    """Change what handle and slot say alike; None: both have nothing."""
    names = {"good": GOOD, "twice": TWICE, "bad": BAD}

    def doctor(evidence: Evidence) -> Evidence:
        told = {**evidence.told, **{names[it]: new for it, new in changes.items()}}
        left = {task_id: record for task_id, record in told.items() if record}
        return replace(evidence, told=left, kept=list(left.items()))

    return doctor


def letters(*rows: tuple[str, Record]) -> Doctor:
    return lambda evidence: replace(evidence, letters=rows)


def slots(*more: tuple[str, Record]) -> Doctor:
    return lambda evidence: replace(evidence, kept=[*evidence.kept, *more])


def journal(*more: Line, without: Callable[[Line], bool] | None = None) -> Doctor:
    def doctor(evidence: Evidence) -> Evidence:
        left = [it for it in evidence.lines if without is None or not without(it)]
        lines = sorted([*left, *more], key=lambda it: it.at_ns)
        return replace(evidence, lines=lines)

    return doctor


def test_sound_evidence_has_no_findings() -> None:
    assert audit(sound()) == []


@pytest.mark.parametrize(
    ("doctor", "finding"),
    [
        (records(good=None), "I1: .*001 .* is in no slot"),
        (slots((STRANGER, DONE)), "I1: .*0ff was never enqueued"),
        (journal(line(Mark.START, STRANGER, 0, 9, 9)), "I1: .*0ff was never enqueued"),
        (slots((GOOD, DONE)), "I2: .*001 is in 2 slots"),
        (slots((GOOD, Record("failed", 0, 1))), "I2: .*001 is in 2 slots"),
        (letters((BAD, DEAD), (GOOD, DONE)), "I2: .*001 is succeeded and has 1"),
        (letters(), "I2: .*003 is failed and has 0"),
        (letters((BAD, DEAD), (BAD, DEAD)), "I2: .*003 is failed and has 2"),
        (letters((BAD, Record("failed", 0, 2))), "I2: .*003: its letter says"),
        (records(good=Record("failed", 0, 1)), "I2: .*001 .* ended as"),
        (records(good=Record("cancelled", 0, 1)), "I2: .*001 .* ended as"),
        (records(twice=Record("succeeded", 0, 2)), "I3: .*002 ended in attempt 0"),
        (records(good=Record("succeeded", 0, 2)), "I3: 1 starts are in no journal"),
        (records(twice=Record("succeeded", 1, 2)), "I3: .*002 has 3 starts, 2 are"),
        (
            journal(without=lambda it: it.task_id == BAD and it.pid == 14),
            "I3: 1 starts are in no journal",
        ),
        (
            journal(without=lambda it: it.mark is Mark.END and it.task_id == GOOD),
            "I3: .*001 has no start that ended in attempt 0",
        ),
        (
            journal(line(Mark.START, GOOD, 1, 10, 3), line(Mark.END, GOOD, 1, 10, 4)),
            "I3: .*001 was started in attempts \\[1\\]",
        ),
        (
            journal(line(Mark.START, TWICE, 0, 10, 8), line(Mark.END, TWICE, 0, 10, 9)),
            "I3: .*002 went back to an earlier attempt",
        ),
        (
            journal(line(Mark.OVERLAP, TWICE, 1, 10, 6)),
            "I4: .*002 was started while process 10 still had it",
        ),
        (
            journal(line(Mark.END, TWICE, 1, 10, 8)),
            "I4: .*002 was ended by 10, which did not run it last",
        ),
        (records(good=Record("live", 0, 0)), "I7: .*001 .* has not ended"),
    ],
)
def test_doctored_evidence_is_reported(doctor: Doctor, finding: str) -> None:
    found = audit(doctor(sound()))

    assert found
    with pytest.raises(AssertionError, match=finding):
        raise AssertionError("\n".join(found))


def test_a_loss_that_a_kill_explains_is_none() -> None:
    evidence = records(good=Record("succeeded", 0, 2))(sound())

    assert audit(replace(evidence, losses=1)) == []


def test_a_task_of_a_dead_producer_may_be_missing_but_not_broken() -> None:
    evidence = sound()
    plan = {STRANGER: Plan("work", {"number": 9}, "succeeded", 0)}
    evidence = replace(evidence, perhaps=plan)

    assert audit(evidence) == []
    assert audit(slots((STRANGER, Record("failed", 0, 1)))(evidence)) != []
    assert audit(journal(line(Mark.START, STRANGER, 0, 9, 9))(evidence)) != []


def test_the_journal_sees_a_start_beside_one_that_lives(tmp_path: Path) -> None:
    journal_ = Journal(tmp_path)
    journal_.start(GOOD, 0)

    journal_.start(GOOD, 0)  # the first has no end, and its process is this one

    marks = [it.mark for it in read_journal(tmp_path)]
    assert marks == [Mark.START, Mark.START, Mark.OVERLAP]


def test_the_journal_allows_a_start_after_the_end_of_another(tmp_path: Path) -> None:
    journal_ = Journal(tmp_path)
    journal_.start(GOOD, 0)
    journal_.end(GOOD, 0)

    journal_.start(GOOD, 1)

    marks = [it.mark for it in read_journal(tmp_path)]
    assert marks == [Mark.START, Mark.END, Mark.START]
