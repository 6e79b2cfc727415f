"""Tasks that end exactly at their limit."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from stem_actor import StemApp, TaskHandle, TaskResult
from tests.limits import jobs_races
from tests.limits.conftest import Maker, ended
from tests.limits.journal import Journal

JOBS = (jobs_races,)
IS_LONG = os.environ.get("STEM_ACTOR_FAULT") == "long"
RACES = 100_000 if IS_LONG else 2_000
BATCH = 250
LAST_WORDS_MS = 20
#: How a task may end by its limit.
ENDS = {
    "soft": "SoftTimeLimitExceeded",
    "soft_retried": "SoftTimeLimitExceeded",
    "soft_coroutine": "SoftTimeLimitExceeded",
    "hard": "HardTimeLimitExceeded",
}


@pytest.mark.case(35)
@pytest.mark.timeout(7200 if IS_LONG else 300)
@pytest.mark.parametrize(
    ("name", "share", "concurrency"),
    [
        ("soft", 0.4, 1),
        ("soft_retried", 0.1, 1),
        ("soft_coroutine", 0.4, 8),
        ("hard", 0.1, 1),
    ],
)
def test_a_task_that_ends_at_its_limit_has_one_outcome_and_disturbs_nobody(
    make_limits_app: Maker,
    journal: Journal,
    name: str,
    share: float,
    concurrency: int,
) -> None:
    """
    Limits of 10 ms; the handlers run for 9.0 to 11.0 ms, one right after the other or
    eight at a time in each of two workers, so that a signal that came late would
    strike another one. The shares make up the number of races.
    """
    races = int(RACES * share)
    told: Counter[str] = Counter()
    starts: Counter[str] = Counter()

    with make_limits_app(concurrency=concurrency) as app:
        for first in range(0, races, BATCH):
            numbers = range(first, min(first + BATCH, races))
            handles = [_enqueue(app, name, journal, number) for number in numbers]
            for number, handle in zip(numbers, handles, strict=True):
                result = ended(handle, timeout=120)
                told[_ending(result, number, name)] += 1
                starts[str(number)] = _starts(result)
        assert app.stats()["stale"] == 0
        assert app.health()["ok"]

    # After the last worker is gone: no start that nobody knows of, and none too late.
    begun = Counter(journal.words)
    assert sum(told.values()) == races
    # A start may end before the handler has said its first word: at its limit, on a
    # busy machine, or because its worker took it at the instant of its kill.
    assert all(begun[it] <= starts[it] for it in {*begun, *starts})
    assert sum(starts.values()) - sum(begun.values()) < races / 10
    if name.startswith("soft") and name != "soft_retried":
        assert set(starts.values()) == {1}
    assert min(told["returned"], told[name]) > races / 50, told


def _enqueue(
    app: StemApp, name: str, journal: Journal, number: int
) -> TaskHandle[object]:
    late = number % 21 / 10 - 1
    if name == "hard":  # the kill comes after the last words
        late = LAST_WORDS_MS + 3 * late + 1
    return app.enqueue(name, {"path": journal.path, "number": number, "late": late})


def _ending(result: TaskResult[Any], number: int, name: str) -> str:
    """Return how the task has ended: by return, or by its own limit and no other."""
    if result.is_succeeded:
        assert result.value == number
        return "returned"
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == ENDS[name], result
    return name


def _starts(result: TaskResult[Any]) -> int:
    assert result.status is not None
    return result.status.starts
