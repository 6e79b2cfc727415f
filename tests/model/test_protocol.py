"""The ring protocol loses nothing and counts right; each broken rule is caught."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from .__main__ import main
from .explore import explore
from .memory import State, canonical
from .protocol import FAULTS, Protocol
from .setup import FULL, Mutant

SMALL = replace(FULL, workers=2)

# What the full model has today; a smaller count means that steps were lost.
FULL_STATES_FLOOR = 170_000

CORRECT_STEPS = frozenset(
    {
        "P5 publish",
        *("A3 word", "A3 next word", "A4 head"),
        *("D2 lease", "D3 offer", "V1 revoke", "V2 word"),
        *("W2 take", "W6 success", "W6 retry"),
        *("C2 stale", "C3 word", "C3 next word", "C4 cell", "C5 out_head"),
        *("C6 record", "C8 free"),
        *("death seen", "death: word", "death: cell", "respawn"),
        *("supervisor restart", "R4 fence", "R5 head", "R5 next worker", "R7 serve"),
    }
)

CAUGHT_AS = {
    Mutant.CELL_FIRST: "under-count",
    Mutant.NO_SOURCE: "admitted twice",
    Mutant.NO_FENCE: "under-count",
    Mutant.NO_DRAIN: "has succeeded, yet would run again",
    Mutant.REVOKE_ORDER: "under-count",
    Mutant.HEAD_BEFORE_WORD: "",  # no rule breaks: the task is lost
    Mutant.FINISH_AFTER_HEAD: "has succeeded, yet would run again",
    Mutant.SPLIT_COMMIT: "over-count",
    Mutant.NO_STARTS_FENCE: "over-count",
}

NEEDS_A_CRASH = sorted(CAUGHT_AS.keys() - {Mutant.REVOKE_ORDER, Mutant.NO_STARTS_FENCE})


def test_three_workers_two_crashes_and_batches_lose_nothing() -> None:
    report = Protocol(FULL).explore()

    print(f"\nprotocol: {report.states:,} states, {report.steps:,} steps")
    assert report.violation == "", report.trace
    assert report.stuck == 0, report.trace
    assert report.is_clean
    assert report.states >= FULL_STATES_FLOOR
    assert report.labels.keys() == CORRECT_STEPS | FAULTS


def test_the_model_of_the_mutants_is_clean_without_them() -> None:
    assert Protocol(SMALL).explore().is_clean


@pytest.mark.parametrize("mutant", Mutant)
def test_each_broken_rule_is_caught(mutant: Mutant) -> None:
    report = Protocol(replace(SMALL, mutant=mutant)).explore()

    assert CAUGHT_AS[mutant] in report.violation
    assert report.violation or report.stuck
    assert report.trace


@pytest.mark.parametrize("mutant", NEEDS_A_CRASH)
def test_a_broken_crash_rule_is_harmless_without_crashes(mutant: Mutant) -> None:
    assert Protocol(replace(SMALL, mutant=mutant, crashes=0)).explore().is_clean


def test_only_a_double_report_needs_the_start_number_in_an_outcome() -> None:
    unfenced = replace(SMALL, mutant=Mutant.NO_STARTS_FENCE, doubles=0)

    assert Protocol(unfenced).explore().is_clean


def test_merging_renamed_workers_loses_no_state() -> None:
    setup = replace(FULL, crashes=1, cells=1, lanes=1, doubles=0)
    plain = Protocol(replace(setup, symmetry=False))
    merged = {canonical(plain.initial())}

    def remember(state: State) -> Iterator[tuple[str, State]]:
        for label, target in plain.successors(state):
            merged.add(canonical(target))
            yield label, target

    every = explore(plain.initial(), remember, is_finished=plain.is_finished)
    report = Protocol(setup).explore()

    assert len(merged) == report.states
    assert every.states > 4 * report.states


def test_the_command_succeeds_on_the_whole_protocol(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["--workers", "1", "--tasks", "1", "--crashes", "1"])

    assert code == 0
    assert "stuck 0" in capsys.readouterr().out


def test_the_command_fails_with_a_trace_on_a_mutant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["--workers", "1", "--mutant", "nosrc"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert lines[2].startswith("P5 publish")
    assert lines[-1] == "VIOLATION A3: task 0 is admitted twice"
