"""The search itself, on graphs small enough to check by eye."""

from collections.abc import Iterator

import pytest

from .explore import ViolationError, explore


def test_a_line_to_the_goal_is_clean_and_counted() -> None:
    def count_to_three(state: int) -> Iterator[tuple[str, int]]:
        if state < 3:
            yield "next", state + 1

    report = explore(0, count_to_three, is_finished=lambda state: state == 3)

    assert report.is_clean
    assert (report.states, report.steps, report.finished) == (4, 3, 1)


def test_a_violation_comes_with_a_shortest_way_to_it() -> None:
    def grow(state: int) -> Iterator[tuple[str, int]]:
        if state == 6:
            raise ViolationError("six")
        yield "add", state + 1
        yield "double", state * 2

    report = explore(1, grow, is_finished=lambda state: state > 100)

    assert report.violation == "six"
    assert [state for _, state in report.trace] == [2, 3, 6]


def test_a_state_that_needs_a_fault_to_reach_the_goal_is_stuck() -> None:
    def fall(state: str) -> Iterator[tuple[str, str]]:
        if state == "start":
            yield "work", "goal"
            yield "work", "hole"
        elif state == "hole":
            yield "crash", "goal"

    counted = explore("start", fall, is_finished=lambda state: state == "goal")
    faulty = explore(
        "start", fall, is_finished=lambda state: state == "goal", faults={"crash"}
    )

    assert counted.is_clean
    assert faulty.stuck == 1
    assert faulty.trace == (("work", "hole"),)


def test_a_search_without_a_finished_state_is_not_clean() -> None:
    def stay(state: int) -> Iterator[tuple[str, int]]:
        yield "stay", state

    assert not explore(0, stay, is_finished=lambda _: False).is_clean


def test_more_states_than_the_limit_is_an_error() -> None:
    def count(state: int) -> Iterator[tuple[str, int]]:
        yield "next", state + 1

    with pytest.raises(MemoryError, match="more than 10 states"):
        explore(0, count, is_finished=lambda _: False, limit=10)
