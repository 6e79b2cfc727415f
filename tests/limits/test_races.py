"""Tasks that end exactly at their limit."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from stem_actor import StemApp
from tests.limits import jobs_races
from tests.limits.conftest import ended
from tests.limits.journal import Journal

JOBS = (jobs_races,)
IS_LONG = os.environ.get("STEM_ACTOR_FAULT") == "long"
RACES = 100_000 if IS_LONG else 2_000
BATCH = 500


@pytest.mark.case(35)
@pytest.mark.timeout(7200 if IS_LONG else 300)
def test_a_task_that_ends_at_its_limit_has_one_outcome_and_disturbs_nobody(
    limits_app: StemApp, journal: Journal
) -> None:
    """
    Soft limits of 10 ms; the handlers sleep for 9.0 to 11.0 ms, one after the other in
    two workers, so that a signal that came late would strike the next one.
    """
    told: Counter[str] = Counter()
    for first in range(0, RACES, BATCH):
        handles = [
            limits_app.enqueue(
                "race", {"path": journal.path, "number": n, "late": n % 21 / 10 - 1}
            )
            for n in range(first, first + BATCH)
        ]
        for number, handle in enumerate(handles, first):
            result = ended(handle, timeout=120)
            assert result.status is not None
            assert result.status.starts == 1
            if result.is_succeeded:
                assert result.value == number
                told["returned"] += 1
            else:
                assert result.status.error is not None
                assert result.status.error.type == "SoftTimeLimitExceeded"
                told["soft"] += 1

    starts = Counter(journal.words)
    assert set(starts.values()) == {1}
    assert len(starts) == RACES
    assert told["returned"] > RACES / 50
    assert told["soft"] > RACES / 50
