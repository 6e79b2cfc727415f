"""TaskState, TaskStatus and TaskResult."""

from __future__ import annotations

import pytest

from stem_actor.model.error import TaskError
from stem_actor.model.result import TaskResult
from stem_actor.model.state import LEGAL_MOVES, TaskState
from stem_actor.model.status import TaskStatus

TERMINAL = {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED}


def result_in(state: TaskState, value: int | None = None) -> TaskResult[int | None]:
    error = TaskError(type="ValueError", message="boom")
    status = TaskStatus("t1", state, error=error if state is TaskState.FAILED else None)
    return TaskResult("t1", status, value)


def test_exactly_the_three_ends_are_terminal() -> None:
    assert {state for state in TaskState if state.is_terminal} == TERMINAL


def test_the_table_of_moves_is_complete() -> None:
    assert set(LEGAL_MOVES) == set(TaskState)


@pytest.mark.parametrize(
    ("source", "target", "is_legal"),
    [
        ("queued", "running", True),
        ("queued", "cancelled", True),
        ("queued", "failed", True),
        ("queued", "retried", False),
        ("queued", "succeeded", False),
        ("running", "queued", True),
        ("running", "retried", True),
        ("retried", "running", True),
        ("retried", "succeeded", False),
        ("succeeded", "failed", False),
        ("cancelled", "running", False),
    ],
)
def test_a_move_is_legal_or_not(source: str, target: str, is_legal: bool) -> None:
    assert TaskState(source).may_become(TaskState(target)) is is_legal


def test_a_succeeded_result_gives_its_value() -> None:
    result = result_in(TaskState.SUCCEEDED, 7)

    assert result.is_succeeded
    assert result.value_or(0) == 7
    assert result.required_value() == 7


def test_none_is_a_value_of_a_task_that_returns_none() -> None:
    result = result_in(TaskState.SUCCEEDED, None)

    assert result.value_or(5) is None
    assert result.required_value() is None


@pytest.mark.parametrize(
    ("result", "account"),
    [
        (result_in(TaskState.FAILED), "it is failed \\(ValueError: boom\\)"),
        (result_in(TaskState.CANCELLED), "it is cancelled"),
        (result_in(TaskState.RUNNING), "it is running"),
        (TaskResult[int | None]("t1", timed_out=True), "nothing is known"),
    ],
)
def test_any_other_result_says_why_it_has_no_value(
    result: TaskResult[int | None], account: str
) -> None:
    assert result.value_or(5) == 5
    with pytest.raises(LookupError, match=account):
        result.required_value()
