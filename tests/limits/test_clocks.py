"""Time that the supervisor has not seen is nobody's time."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from stem_actor import StemApp
from tests.limits import jobs_processes
from tests.limits.conftest import (
    LATE_S,
    Maker,
    compiled,
    ended,
    eventually,
    verdict_of,
)
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
        time.sleep(2.0)  # the case: time that the supervisor does not see
        os.kill(supervisor, signal.SIGCONT)

        assert [ended(handle).is_succeeded for handle in handles] == [True, True]
        late = {"path": journal.path, "seconds": 60}
        assert verdict_of(ended(app.enqueue("sleep_limited", late))).reason == "hard"


@pytest.fixture
def set_wall(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[timedelta], None]:
    """Set the wall clock of every supervisor that is started after this, by so much."""
    offset = tmp_path_factory.mktemp("wall") / "offset"
    offset.write_bytes(struct.pack("<q", 0))
    monkeypatch.setenv("STEM_TEST_WALL", str(offset))
    monkeypatch.setenv("LD_PRELOAD", compiled(tmp_path_factory, "wall.c"))

    def set_by(jump: timedelta) -> None:
        with offset.open("r+b") as file:
            file.write(struct.pack("<q", int(jump.total_seconds())))

    return set_by


@pytest.mark.case(46)
@pytest.mark.parametrize("hours", [1, -1])
def test_a_wall_clock_that_is_set_ends_no_task_early_and_none_late(
    set_wall: Callable[[timedelta], None],
    make_limits_app: Maker,
    journal: Journal,
    hours: int,
) -> None:
    """The limit is 1 s; one task takes 0.8, the other one would never end."""
    jump = timedelta(hours=hours)
    with make_limits_app() as app:
        began = time.monotonic()
        args = {"path": journal.path}
        brief = app.enqueue("sleep_limited", {**args, "seconds": 0.8})
        endless = app.enqueue("sleep_limited", {**args, "seconds": 60})
        assert eventually(lambda: len(journal.words) == 2)

        set_wall(jump)

        assert ended(brief).is_succeeded
        verdict = verdict_of(ended(endless))
        assert 1.0 <= time.monotonic() - began < 1.0 + LATE_S
        assert verdict.reason == "hard"
        assert verdict.wall_s is not None
        assert 1.0 <= verdict.wall_s < 1.0 + LATE_S
        has_jumped = _ended_at(app, endless.id) - datetime.now(UTC)
        assert abs(has_jumped - jump) < timedelta(minutes=10)  # it was set indeed
        assert ended(app.enqueue("add", {"a": 1})).value == 1
        assert app.health()["ok"]


def _ended_at(app: StemApp, task_id: str) -> datetime:
    """Return when a task has ended by the wall clock of the supervisor."""
    status = app.status(task_id)
    assert status is not None
    assert status.updated_at is not None
    return status.updated_at
