"""Limits while the processes around a task are replaced."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from stem_actor import StemApp
from tests.limits import jobs_processes
from tests.limits.conftest import Maker, ended, eventually, verdict_of
from tests.limits.footing import all_gone, guardian_of, supervisor_of
from tests.limits.journal import Journal

JOBS = (jobs_processes,)


def below(app: StemApp, name: str) -> list[int]:
    """Return the pids of the processes called *name* below the guardian of *app*."""
    found = psutil.Process(guardian_of(app)).children(recursive=True)
    return [it.pid for it in found if it.name() == name]


@pytest.mark.case(47)
def test_with_the_supervisor_its_workers_end_and_the_task_runs_again_under_its_limit(
    make_limits_app: Maker, journal: Journal
) -> None:
    args = {"path": journal.path, "seconds": 60}
    with make_limits_app() as app:
        handle = app.enqueue("sleep_limited", args)
        assert eventually(lambda: journal.words)
        first = int(journal.words[0].split()[2])

        os.kill(supervisor_of(app), signal.SIGKILL)
        assert all_gone([first])
        result = ended(handle)

    verdict = verdict_of(result)
    assert verdict.reason == "hard"
    assert result.status is not None
    assert (result.status.attempt, result.status.starts) == (0, 2)
    assert len(journal.words) == 2


@pytest.mark.case(48)
def test_a_task_does_not_notice_that_the_fork_server_is_replaced(
    make_limits_app: Maker, journal: Journal
) -> None:
    args = {"path": journal.path, "seconds": 0.8}
    with make_limits_app() as app:
        assert eventually(lambda: len(below(app, "stem-zygote")) == 2)
        handle = app.enqueue("sleep", args)
        assert eventually(lambda: journal.words)
        before = below(app, "stem-zygote")

        for pid in before[:1]:
            os.kill(pid, signal.SIGKILL)
        result = ended(handle)

        assert result.is_succeeded
        assert result.status is not None
        assert result.status.starts == 1
        # One that is killed for its limit is replaced by a child of the new one.
        assert verdict_of(ended(app.enqueue("spin", {}))).reason == "hard"
        assert eventually(lambda: len(below(app, "stem-zygote")) == 2)
        assert ended(app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(49)
def test_an_initializer_that_crashes_over_and_over_is_no_fork_storm(
    make_limits_app: Maker, tmp_path: Path
) -> None:
    births = tmp_path / "births"
    app = make_limits_app()

    @app.worker_init
    def crash() -> None:
        jobs_processes.say(str(births), os.getpid())
        os.abort()

    with app:
        assert eventually(lambda: "die before" in " ".join(app.health()["problems"]))
        before = len(births.read_text().split())
        time.sleep(0.5)  # nothing is to happen, and that has no event
        after = len(births.read_text().split())

    assert before < 30
    assert after - before < 5
