"""Processes that end in mid-task, and processes that a task has begun."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp, TaskResult
from tests.limits import jobs_processes
from tests.limits.conftest import LATE_S, Maker, ended, eventually, verdict_of
from tests.limits.footing import all_gone, at_rest, returns_to
from tests.limits.journal import Journal

JOBS = (jobs_processes,)
HARD_S = 0.5
IN_A_ROW = 20


@pytest.mark.case(18)
@pytest.mark.parametrize(
    ("name", "args", "ending"),
    [
        ("leave", {"status": 0}, (None, 0)),
        ("leave", {"status": 3}, (None, 3)),
        ("abort", {}, (signal.SIGABRT, None)),
        ("read_null", {}, (signal.SIGSEGV, None)),
        ("read_cut_file", {}, (signal.SIGBUS, None)),
        ("overflow_stack", {}, (signal.SIGSEGV, None)),
        ("signal_self", {"number": int(signal.SIGILL)}, (signal.SIGILL, None)),
        ("signal_self", {"number": int(signal.SIGFPE)}, (signal.SIGFPE, None)),
        ("signal_self", {"number": int(signal.SIGKILL)}, (signal.SIGKILL, None)),
    ],
)
def test_an_end_of_the_process_is_told_right_twenty_times_in_a_row(
    limits_app: StemApp,
    hostile: str,
    name: str,
    args: dict[str, object],
    ending: tuple[int | None, int | None],
) -> None:
    before = at_rest(limits_app)
    if name == "overflow_stack":
        args = {"library": hostile}

    handles = [limits_app.enqueue(name, args) for _ in range(IN_A_ROW)]
    results = [ended(handle) for handle in handles]

    verdicts = [verdict_of(result) for result in results]
    assert {it.reason for it in verdicts} == {"crashed"}
    assert {(it.signal, it.exit_status) for it in verdicts} == {ending}
    assert {it.oom for it in verdicts} == {False}
    assert {_starts(result) for result in results} == {1}
    assert len({it.pid for it in verdicts}) == IN_A_ROW
    if ending[0] in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT):
        assert all(f"in {name}" in (it.stack or "") for it in verdicts)
    assert returns_to(limits_app, before)
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(18)
@pytest.mark.parametrize(("code", "status"), [(None, 0), (2, 2)])
def test_a_handler_that_exits_by_exception_has_raised_and_ends_no_process(
    limits_app: StemApp, code: int | None, status: int
) -> None:
    before = at_rest(limits_app)

    for _ in range(IN_A_ROW):
        result = ended(limits_app.enqueue("exit_by_exception", {"code": code}))

        verdict = verdict_of(result)
        assert (verdict.reason, verdict.exit_status) == ("raised", status)
        assert verdict.signal is None
        assert _error_type(result) == "SystemExit"
    assert returns_to(limits_app, before)


@pytest.mark.case(18)
def test_a_kill_from_outside_is_a_crash_by_that_signal_every_time(
    limits_app: StemApp, tmp_path: Path
) -> None:
    before = at_rest(limits_app)

    for at in range(IN_A_ROW):
        journal = Journal(tmp_path / str(at))
        handle = limits_app.enqueue("wait_for_kill", {"path": journal.path})
        (pid,) = _pids(journal)
        os.kill(pid, signal.SIGKILL)
        verdict = verdict_of(ended(handle))

        assert (verdict.reason, verdict.signal) == ("crashed", signal.SIGKILL)
        assert (verdict.pid, verdict.oom) == (pid, False)
    assert returns_to(limits_app, before)


@pytest.mark.case(20)
def test_a_worker_leaves_without_joining_a_thread_that_was_left_over(
    limits_app: StemApp, journal: Journal
) -> None:
    before = at_rest(limits_app)
    began = time.monotonic()

    result = ended(limits_app.enqueue("leave_thread", {"path": journal.path}))

    assert result.is_succeeded
    assert result.status is not None
    assert result.status.verdict is not None
    assert result.status.verdict.threads == ("left-over",)
    assert time.monotonic() - began < LATE_S
    assert all_gone(_pids(journal), LATE_S)
    assert returns_to(limits_app, before)
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.parametrize(
    ("name", "count", "hard_s"),
    [
        pytest.param("start_plain", 1, HARD_S, marks=pytest.mark.case(28)),
        pytest.param("start_session", 1, HARD_S, marks=pytest.mark.case(29)),
        pytest.param("start_daemon", 1, HARD_S, marks=pytest.mark.case(30)),
        pytest.param("start_pool", 2, 1.0, marks=pytest.mark.case(31)),
        pytest.param("start_program", 1, HARD_S, marks=pytest.mark.case(32)),
    ],
)
def test_the_hard_limit_takes_every_process_along_that_the_handler_has_begun(
    limits_app: StemApp, journal: Journal, name: str, count: int, hard_s: float
) -> None:
    before = at_rest(limits_app)
    began = time.monotonic()

    result = ended(limits_app.enqueue(name, {"path": journal.path}))

    took_s = time.monotonic() - began
    pids = _pids(journal, count)
    verdict = verdict_of(result)
    assert _error_type(result) == "HardTimeLimitExceeded"
    assert hard_s <= took_s < hard_s + LATE_S
    assert (verdict.reason, verdict.signal) == ("hard", signal.SIGKILL)
    for pid in pids:
        assert any(f"({pid})" in it for it in verdict.descendants), verdict
    assert len(pids) == count
    assert all_gone(pids, LATE_S)
    assert returns_to(limits_app, before)
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(29)
def test_the_record_counts_who_had_to_be_swept_up(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("start_session", {"path": journal.path}))

    assert verdict_of(result).swept == 1


@pytest.mark.case(32)
def test_a_child_that_holds_every_descriptor_keeps_no_result_and_ends_with_its_worker(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app() as app:
        began = time.monotonic()

        result = ended(app.enqueue("leave_child", {"path": journal.path}))

        assert result.is_succeeded
        assert time.monotonic() - began < LATE_S
        (child,) = _pids(journal)
        handles = [app.enqueue("add", {"a": it}) for it in range(50)]
        assert [ended(it).value for it in handles] == list(range(50))
        assert all_gone([child], LATE_S)


@pytest.mark.case(33)
def test_a_child_of_a_handler_finds_no_ring_and_may_not_use_it(
    limits_app: StemApp,
) -> None:
    found = ended(limits_app.enqueue("write_in_child", {})).value

    assert found == ["unmapped", "refused", "refused", "refused"]
    handles = [limits_app.enqueue("add", {"a": it}) for it in range(200)]
    assert [ended(it).value for it in handles] == list(range(200))
    assert limits_app.stats()["corrupt"] == 0


@pytest.mark.parametrize("count", [1, 2, 8])
def test_runners_that_fork_on_and_on_are_all_caught(
    limits_app: StemApp, journal: Journal, count: int
) -> None:
    before = at_rest(limits_app)
    try:
        args = {"path": journal.path, "count": count}
        result = ended(limits_app.enqueue("run_forks", args))
        is_clean = returns_to(limits_app, before, LATE_S)
    finally:
        Path(journal.path).with_suffix(".stop").touch()  # whatever the sweep has missed

    verdict = verdict_of(result)
    assert is_clean
    assert verdict.reason == "hard"
    assert verdict.late_s is not None
    assert verdict.late_s < LATE_S
    assert verdict.swept > count, "they have not forked"
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(52)
def test_a_handler_that_ignores_its_revoke_is_killed_with_what_it_has_begun(
    limits_app: StemApp, journal: Journal
) -> None:
    before = at_rest(limits_app)
    handle = limits_app.enqueue("ignore", {"path": journal.path})
    pids = _pids(journal, 2)

    began = time.monotonic()
    assert handle.revoke(terminate=True, reason="by Eve")
    result = ended(handle)

    assert 1.0 <= time.monotonic() - began < 1.0 + LATE_S
    assert result.is_cancelled
    assert result.status is not None
    assert result.status.meta["reason"] == "by Eve"
    assert result.status.verdict is not None
    assert result.status.verdict.reason == "revoked"
    assert result.status.verdict.descendants
    assert all_gone(pids, LATE_S)
    assert returns_to(limits_app, before)


def _pids(journal: Journal, count: int = 1) -> list[int]:
    """Return the pids in *journal*, once there are *count*."""
    assert eventually(lambda: len(journal.words) >= count), journal.words
    return [int(word) for word in journal.words]


def _starts(result: TaskResult[Any]) -> int:
    assert result.status is not None
    return result.status.starts


def _error_type(result: TaskResult[Any]) -> str:
    assert result.status is not None
    assert result.status.error is not None
    return result.status.error.type
