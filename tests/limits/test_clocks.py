"""Time that the supervisor has not seen is nobody's time."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.limits import jobs_processes
from tests.limits.conftest import Maker, ended, eventually, verdict_of
from tests.limits.footing import supervisor_of
from tests.limits.journal import Journal

JOBS = (jobs_processes,)


@pytest.mark.case(45)
def test_a_supervisor_that_was_stopped_kills_nobody_for_the_time_it_has_missed(
    make_limits_app: Maker, journal: Journal
) -> None:
    """The limit is 1 s; the tasks take 2.5, of which it has not seen 2."""
    args = {"path": journal.path, "seconds": 2.5}
    with make_limits_app() as app:
        handles = [app.enqueue("sleep_limited", args) for _ in range(2)]
        assert eventually(lambda: len(journal.words) == 2)
        supervisor = supervisor_of(app)

        os.kill(supervisor, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(supervisor, signal.SIGCONT)

        assert [ended(handle).is_succeeded for handle in handles] == [True, True]
        late = {"path": journal.path, "seconds": 60}
        assert verdict_of(ended(app.enqueue("sleep_limited", late))).reason == "hard"
