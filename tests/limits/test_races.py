"""Tasks that end exactly at their limit."""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import Any, Self

import pytest

from stem_actor import (
    EventsDropped,
    StemApp,
    TaskEvent,
    TaskFailed,
    TaskHandle,
    TaskResult,
    TaskSucceeded,
    TaskTimeout,
)
from tests.limits import jobs_races
from tests.limits.conftest import Maker, ended
from tests.limits.journal import Journal

JOBS = (jobs_races,)
IS_LONG = os.environ.get("STEM_ACTOR_FAULT") == "long"
RACES = 100_000 if IS_LONG else 2_000
BATCH = 250
#: How a task may end by its limit.
ENDS = {
    "soft": "SoftTimeLimitExceeded",
    "soft_retried": "SoftTimeLimitExceeded",
    "soft_coroutine": "SoftTimeLimitExceeded",
    "hard": "HardTimeLimitExceeded",
}


class Listener:
    """Hears every event, and notes which come too often or too late."""

    def __init__(self, app: StemApp) -> None:
        self._stream = app.events()
        self._thread = threading.Thread(target=self._listen)
        self._changed = threading.Condition()
        self._over: set[str] = set()
        self._timeouts: Counter[tuple[str, int, str]] = Counter()
        self.problems: list[object] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until *count* tasks are known to be over."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._over) >= count, 60)

    def _listen(self) -> None:
        for event in self._stream:
            if isinstance(event, TaskEvent):
                self._note(event)
            elif isinstance(event, EventsDropped):
                self.problems.append(event)

    def _note(self, event: TaskEvent) -> None:
        if isinstance(event, TaskTimeout):
            key = event.task_id, event.starts, event.level
            self._timeouts[key] += 1
            if event.task_id in self._over or self._timeouts[key] > 1:
                self.problems.append(event)
        elif isinstance(event, TaskSucceeded | TaskFailed):
            was_killed = self._timeouts[event.task_id, event.starts, "hard"]
            if event.task_id in self._over or (
                was_killed and isinstance(event, TaskSucceeded)
            ):
                self.problems.append(event)
            with self._changed:
                self._over.add(event.task_id)
                self._changed.notify_all()


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

    with make_limits_app(concurrency=concurrency) as app, Listener(app) as listener:
        for first in range(0, races, BATCH):
            numbers = range(first, min(first + BATCH, races))
            handles = [_enqueue(app, name, journal, number) for number in numbers]
            for number, handle in zip(numbers, handles, strict=True):
                result = ended(handle, timeout=120)
                told[_ending(result, number, name)] += 1
                starts[str(number)] = _starts(result)
        assert app.stats()["stale"] == 0
        assert app.health()["ok"]
        listener.wait_for(races)
    assert listener.problems == []

    # After the last worker is gone: no start that nobody knows of, and none too late.
    begun = Counter(journal.words)
    assert sum(told.values()) == races
    # A start may end before the handler has said its first word: at its limit, on a
    # busy machine, or because its worker took it at the instant of its kill.
    assert all(begun[it] <= starts[it] for it in {*begun, *starts})
    assert sum(starts.values()) - sum(begun.values()) < races / 10
    if name != "soft_retried":
        assert set(starts.values()) == {1}
    assert min(told["returned"], told[name]) > races / 50, told


def _enqueue(
    app: StemApp, name: str, journal: Journal, number: int
) -> TaskHandle[object]:
    late = number % 21 / 10 - 1
    if name == "hard":  # the kill comes after the last words, in a few milliseconds
        late = 4 * late + 4
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
