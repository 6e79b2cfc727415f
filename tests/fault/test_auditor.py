"""The auditor itself: sound evidence passes, each doctored one is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fault.auditor import audit
from tests.fault.figures import recoveries
from tests.fault.jobs import Plan
from tests.fault.journal import Journal, Line, Mark, read_journal
from tests.fault.traces import Counters, Evidence, Kill, Record, Toll

GOOD: Final = "01890000-0000-7000-8000-000000000001"
TWICE: Final = "01890000-0000-7000-8000-000000000002"
BAD: Final = "01890000-0000-7000-8000-000000000003"
NEXT: Final = "01890000-0000-7000-8000-000000000004"
STRANGER: Final = "01890000-0000-7000-8000-0000000000ff"
DONE: Final = Record("succeeded", 0, 1)
RETRIED: Final = Record("succeeded", 1, 3)
DEAD: Final = Record("failed", 0, 3)
#: Two workers, a spare; four processes died, three of them by poison.
COUNTERS: Final = Counters(
    epoch=1, births=7, members=3, starts=7, crashes=4, collaterals=0, corrupt=0,
    letters=1, letters_dropped=0,
)  # fmt: skip
KILL: Final = Kill("worker", (10, 1), 5, ((10, 1),))

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
        kills=[KILL],
        tolls={GOOD: Toll(), TWICE: Toll(crashes=1), BAD: Toll(crashes=3)},
        counters=COUNTERS,
        ordered=(GOOD, BAD),
        recovery_max_ns=2,
        memory={1: [1000, 1002, 1001], 2: [900]},
        growth_max=2,
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


def counters(**changes: Any) -> Doctor:
    changed = replace(COUNTERS, **changes)
    return lambda evidence: replace(evidence, counters=changed)


def kills(*made: Kill) -> Doctor:
    return lambda evidence: replace(evidence, kills=made)


def tolls(**changes: Toll) -> Doctor:
    names = {"good": GOOD, "twice": TWICE, "bad": BAD}
    changed = {names[it]: toll for it, toll in changes.items()}
    return lambda evidence: replace(evidence, tolls={**evidence.tolls, **changed})


def both(*doctors: Doctor) -> Doctor:
    def doctor(evidence: Evidence) -> Evidence:
        for it in doctors:
            evidence = it(evidence)
        return evidence

    return doctor


def late(task_id: str, at_ns: int, by_ns: int) -> Doctor:
    """Let what *task_id* did at *at_ns* and after happen *by_ns* later."""

    def doctor(evidence: Evidence) -> Evidence:
        lines = [
            replace(it, at_ns=it.at_ns + by_ns)
            if it.task_id == task_id and it.at_ns >= at_ns
            else it
            for it in evidence.lines
        ]
        return replace(evidence, lines=sorted(lines, key=lambda it: it.at_ns))

    return doctor


def another(evidence: Evidence) -> Evidence:
    """One more that succeeds, behind all others."""
    more = {NEXT: DONE}
    return replace(
        evidence,
        accepted={**evidence.accepted, NEXT: Plan("work", {}, "succeeded", 0)},
        told={**evidence.told, **more},
        kept=[*evidence.kept, *more.items()],
        lines=[
            *evidence.lines,
            line(Mark.START, NEXT, 0, 10, 20),
            line(Mark.END, NEXT, 0, 10, 21),
        ],
        ordered=(GOOD, NEXT),
        counters=replace(COUNTERS, starts=8),
    )


def test_sound_evidence_has_no_findings() -> None:
    assert audit(sound()) == []
    assert audit(another(sound())) == []


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
        (late(TWICE, 6, 2), "I5: .*002 began again"),
        (late(BAD, 13, 2), "I5: .*003 began again"),
        (
            both(another, lambda evidence: replace(evidence, ordered=(NEXT, GOOD))),
            "I8: .*001 was started before .*004",
        ),
        (
            lambda evidence: replace(evidence, memory={1: [900], 2: [900, 903, 900]}),
            "I9: supervisor 2 grew by 3 bytes",
        ),
        (counters(epoch=2), "I10: 1 supervisors were replaced, 0 to 0 were killed"),
        (
            kills(KILL, Kill("supervisor", (5, 1), 5, (), 5)),
            "I10: 0 supervisors were replaced, 1 to 1 were killed",
        ),
        (counters(births=3), "I10: 3 workers were born, 5 were seen"),
        (counters(births=8), "I10: 8 workers were born, 5 were seen and 7 can be"),
        (counters(starts=6), "I10: 6 starts are counted, the slots tell of 7"),
        (counters(crashes=3), "I10: 3 crashes are counted, the slots tell of 4"),
        (counters(collaterals=1), "I10: 1 collaterals are counted, the slots tell"),
        (
            both(counters(crashes=5), tolls(good=Toll(crashes=1))),
            "I10: 5 crashes are counted, 4 can be explained",
        ),
        (
            both(counters(collaterals=1), tolls(good=Toll(collaterals=1))),
            "I10: 1 collaterals are counted, 0 can be explained",
        ),
        (tolls(bad=Toll(crashes=4)), "I10: .*003 .poison. ended by 4 crashes"),
        (counters(corrupt=1), "I10: 1 rings count as corrupt"),
        (counters(letters=2), "I10: 2 dead letters are counted and 0 dropped, 1 are"),
        (counters(letters_dropped=1), "I10: 1 dead letters are counted and 1 dropped"),
        (counters(problems=("there is no worker",)), "I10: health complains"),
    ],
)
def test_doctored_evidence_is_reported(doctor: Doctor, finding: str) -> None:
    found = audit(doctor(sound()))

    assert found
    with pytest.raises(AssertionError, match=finding):
        raise AssertionError("\n".join(found))


def test_a_loss_that_a_kill_explains_is_none() -> None:
    evidence = records(good=Record("succeeded", 0, 2))(sound())
    evidence = counters(starts=8)(evidence)

    assert audit(replace(evidence, losses=1)) == []


def test_a_supervisor_that_dies_between_two_stores_may_miscount_by_one() -> None:
    evidence = counters(epoch=2, crashes=5)(sound())
    evidence = kills(KILL, Kill("supervisor", (5, 1), 5, (), 5))(evidence)

    assert audit(evidence) == []


def test_a_recovery_is_timed_from_the_kill_or_from_a_poisonous_start() -> None:
    assert recoveries(sound()) == {TWICE: [1], BAD: [1, 1]}
    assert recoveries(kills()(sound())) == {BAD: [1, 1]}


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
