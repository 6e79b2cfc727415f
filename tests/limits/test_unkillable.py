"""A worker that a kill cannot end: reported, replaced, and buried once it is dead."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp, TaskHandle
from tests.limits import jobs_processes
from tests.limits.conftest import Maker, ended, eventually, verdict_of
from tests.limits.footing import all_gone, at_rest, returns_to, supervisor_of
from tests.limits.holders import frozen, has_freezer, traced

JOBS = (jobs_processes,)

Hold = Callable[[int], AbstractContextManager[Callable[[], None]]]

holds = pytest.mark.parametrize(
    "hold",
    [
        pytest.param(
            frozen,
            marks=pytest.mark.skipif(
                not has_freezer(), reason="no cgroup v1 freezer that we may write to"
            ),
        ),
        traced,
    ],
)


@holds
def test_a_worker_that_no_kill_ends_is_told_replaced_and_buried_when_it_dies(
    make_limits_app: Maker, tmp_path: Path, hold: Hold
) -> None:
    with make_limits_app() as app:
        before = at_rest(app)
        handle, pid = _start(app, "hang", tmp_path)
        with hold(pid) as let_go:
            assert eventually(lambda: _problem(app, pid))
            status = handle.status()
            pair = [app.enqueue("meet", _pair(tmp_path, at)) for at in (0, 1)]
            met = [ended(it).value for it in pair]
            let_go()

        result = ended(handle)

        verdict = verdict_of(result)
        assert status is not None
        assert status.state == "running"
        waiting = f"stuck: process {pid} was killed and does not die"
        assert status.meta["waiting"] == waiting
        assert pid not in met
        assert len(set(met)) == 2, "the spare has not taken its place"
        assert (verdict.reason, verdict.signal) == ("hard", signal.SIGKILL)
        assert verdict.late_s is not None
        assert verdict.late_s > 2.0
        assert eventually(lambda: app.health()["ok"])
        assert returns_to(app, before)


@holds
def test_a_supervisor_starts_beside_a_worker_that_no_kill_ends(
    make_limits_app: Maker, tmp_path: Path, hold: Hold
) -> None:
    with make_limits_app() as app:
        handle, pid = _start(app, "hang_once", tmp_path)
        with hold(pid) as let_go:
            os.kill(supervisor_of(app), signal.SIGKILL)
            assert ended(app.enqueue("add", {"a": 1})).value == 1
            assert _problem(app, pid)
            status = handle.status()
            starts = _journal(tmp_path)
            let_go()

        result = ended(handle)

        assert status is not None
        assert str(pid) in str(status.meta["waiting"])
        assert starts == [pid], "it was started again while the first start may go on"
        assert result.is_succeeded
        assert result.status is not None
        assert result.status.starts == 2
        assert _journal(tmp_path)[0] == pid
        assert len(_journal(tmp_path)) == 2
        assert eventually(lambda: app.health()["ok"])
        assert eventually(lambda: all(it.pid for it in app.workers()))


def test_a_stop_does_not_wait_for_a_worker_that_no_kill_ends(
    make_limits_app: Maker, tmp_path: Path
) -> None:
    app = make_limits_app().start()
    _, pid = _start(app, "hang", tmp_path)
    with traced(pid) as let_go:
        assert eventually(lambda: _problem(app, pid))

        app.stop(deadline=1)

        let_go()
    assert all_gone([pid])


def _start(app: StemApp, name: str, tmp_path: Path) -> tuple[TaskHandle[Any], int]:
    """Start a task that tells its process, and return the two."""
    handle = app.enqueue(name, {"path": str(tmp_path / "journal")})
    assert eventually(lambda: _journal(tmp_path))
    return handle, _journal(tmp_path)[0]


def _pair(tmp_path: Path, at: int) -> dict[str, object]:
    return {"path": str(tmp_path), "at": at, "count": 2}


def _journal(tmp_path: Path) -> list[int]:
    path = tmp_path / "journal"
    return [int(it) for it in path.read_text().split()] if path.exists() else []


def _problem(app: StemApp, pid: int) -> bool:
    problems = app.health()["problems"]
    return any(f"process {pid} was killed at 20" in line for line in problems)
