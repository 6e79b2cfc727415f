"""Coroutines at a limit: they alone are cancelled, and what they hold is closed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp, TaskResult
from stem_actor.actor.worker.async_worker import AsyncWorkerActor
from stem_actor.engine.report import Report
from stem_actor.model.verdict import Verdict
from tests.limits import jobs_async
from tests.limits.conftest import (
    LATE_S,
    Maker,
    ended,
    eventually,
    state_in,
    verdict_of,
)
from tests.limits.journal import Journal

JOBS = (jobs_async,)
SETTINGS = {"concurrency": 8}
SOFT_S = 0.3


def is_interrupted(result: TaskResult[object], took_s: float) -> Verdict:
    """Assert that *result* is the ending by a soft limit; return its verdict."""
    verdict = verdict_of(result)
    assert result.is_failed
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == "SoftTimeLimitExceeded"
    assert (verdict.reason, verdict.soft_exceeded) == ("soft", True)
    assert SOFT_S <= took_s < SOFT_S + LATE_S
    return verdict


def run_to_limit(app: StemApp, name: str, journal: Journal) -> Verdict:
    """Run *name* into its soft limit; its worker must have been replaced."""
    began = time.monotonic()

    result = ended(app.enqueue(name, {"path": journal.path}))

    verdict = is_interrupted(result, time.monotonic() - began)
    assert eventually(lambda: not Path(f"/proc/{verdict.pid}").exists())
    assert ended(app.enqueue("pid")).value not in (None, verdict.pid)
    return verdict


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param(
            "asleep",
            ["begin", "cancelled soft", "clean-up"],
            marks=pytest.mark.case(21),
        ),
        pytest.param(
            "block", ["begin", "raised", "clean-up"], marks=pytest.mark.case(22)
        ),
        pytest.param("spin", ["begin", "clean-up"], marks=pytest.mark.case(22)),
        pytest.param(
            "spin_in_child", ["begin", "clean-up"], marks=pytest.mark.case(22)
        ),
        ("spin_in_bare_child", ["begin", "clean-up"]),
        ("spin_in_group", ["begin", "clean-up"]),
        pytest.param(
            "shield", ["begin", "clean-up", "inner"], marks=pytest.mark.case(24)
        ),
        pytest.param(
            "group",
            ["begin", "inner", "inner", "inner", "clean-up"],
            marks=pytest.mark.case(24),
        ),
        pytest.param(
            "time_out_later", ["begin", "clean-up"], marks=pytest.mark.case(24)
        ),
        pytest.param(
            "generate", ["begin", "generator", "clean-up"], marks=pytest.mark.case(25)
        ),
        pytest.param(
            "leave_generator",
            ["begin", "clean-up", "generator"],
            marks=pytest.mark.case(25),
        ),
    ],
)
def test_a_coroutine_is_interrupted_and_all_that_it_holds_is_closed_once(
    limits_app: StemApp, journal: Journal, name: str, words: list[str]
) -> None:
    run_to_limit(limits_app, name, journal)

    assert journal.words == words


@pytest.mark.case(22)
def test_the_stack_of_a_coroutine_that_blocks_its_loop_names_the_line(
    limits_app: StemApp, journal: Journal
) -> None:
    verdict = run_to_limit(limits_app, "spin", journal)

    assert "in _spin\n" in (verdict.soft_stack or "")
    assert verdict.cpu_s is None  # it is shared with the neighbours


@pytest.mark.case(23)
def test_a_coroutine_that_swallows_its_cancellation_is_killed_and_was_told_once(
    make_limits_app: Maker, journal: Journal, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with make_limits_app(workers=1, concurrency=4) as app:
        near = app.enqueue("neighbour", {"path": str(gate)})
        began = time.monotonic()

        result = ended(app.enqueue("swallow", {"path": journal.path}))

        took_s = time.monotonic() - began
        gate.touch()
        spared = ended(near)

    assert 0.9 <= took_s < 0.9 + LATE_S
    verdict = verdict_of(result)
    assert (verdict.reason, verdict.signal) == ("hard", 9)
    assert journal.words == ["begin", "swallowed"]
    assert spared.is_succeeded  # in another process: a start more, and no attempt
    assert spared.value != verdict.pid
    assert spared.status is not None
    assert (spared.status.attempt, spared.status.starts) == (0, 2)


@pytest.mark.case(24)
def test_a_time_out_of_the_handlers_own_is_no_limit(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("time_out_first", {"path": journal.path}))

    assert result.value == "timed out"
    assert result.status is not None
    assert result.status.verdict is not None
    assert not result.status.verdict.soft_exceeded


@pytest.mark.case(26)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run_asyncio", ["begin", "inner", "inner", "clean-up"]),
        ("run_uvloop", ["begin", "inner", "inner", "clean-up"]),
        ("run_busy_loop", ["begin", "clean-up", "inner"]),
    ],
)
def test_a_plain_handler_with_a_loop_of_its_own_has_every_task_cancelled(
    limits_app: StemApp, journal: Journal, name: str, words: list[str]
) -> None:
    run_to_limit(limits_app, name, journal)

    assert sorted(journal.words) == sorted(words)
    assert journal.words[0] == "begin"


@pytest.mark.case(26)
def test_the_loop_of_the_workers_is_uvloop(limits_app: StemApp) -> None:
    assert ended(limits_app.enqueue("loop_name")).value == "uvloop"


def test_neighbours_of_an_interrupted_coroutine_are_not_disturbed(
    make_limits_app: Maker, journal: Journal, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with make_limits_app(workers=1, concurrency=8) as app:
        near = [app.enqueue("neighbour", {"path": str(gate)}) for _ in range(4)]

        verdict = verdict_of(ended(app.enqueue("asleep", {"path": journal.path})))

        gate.touch()
        values = [ended(it).value for it in near]
        after = ended(app.enqueue("pid")).value

    assert values == [verdict.pid] * 4  # they have finished in the same process
    assert after != verdict.pid  # which then left


def test_a_neighbour_that_holds_the_loop_is_not_struck_for_another(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=1, concurrency=8) as app:
        waits = app.enqueue("asleep", {"path": journal.path})
        assert eventually(lambda: journal.words == ["begin"])

        holds = app.enqueue("busy_neighbour", {"seconds": 0.7})

        assert ended(holds).value is not None
        assert verdict_of(ended(waits)).reason == "soft"
    assert journal.words == ["begin", "cancelled soft", "clean-up"]


def test_a_task_that_serves_neighbours_is_not_struck_for_who_has_begun_it(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=1, concurrency=8) as app:
        begins = app.enqueue("share", {"path": journal.path})
        assert eventually(lambda: journal.words == ["begin"])

        uses = app.enqueue("use_shared", {"path": journal.path, "seconds": 1.0})

        assert ended(uses).value is not None
        assert verdict_of(ended(begins)).reason == "soft"
    assert journal.words == ["begin", "clean-up"]


@pytest.mark.parametrize(
    ("how", "starts"),
    [
        ("exit in a task", 1),
        ("exit in a callback", 1),
        ("stop", 1),
        ("cancel all", 2),  # it was cancelled, and runs again in another worker
    ],
)
def test_a_coroutine_that_breaks_the_loop_fails_no_neighbour(
    make_limits_app: Maker, tmp_path: Path, how: str, starts: int
) -> None:
    gate = tmp_path / "gate"
    with make_limits_app(workers=1, concurrency=4) as app:
        near = app.enqueue("neighbour", {"path": str(gate)})
        assert eventually(lambda: state_in(near.status()) == "running")

        breaks = ended(app.enqueue("break_loop", {"how": how}))

        gate.touch()
        spared = ended(near)
        after = ended(app.enqueue("pid"))

    assert breaks.is_succeeded
    assert spared.is_succeeded
    assert spared.status is not None
    assert (spared.status.attempt, spared.status.starts) == (0, starts)
    assert after.value != breaks.value  # the worker was replaced


def test_a_worker_that_cannot_go_on_reports_no_failure_of_its_coroutines(
    make_limits_app: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, failed = tmp_path / "gate", tmp_path / "failed"
    fit = AsyncWorkerActor.fit

    def fail_once(self: AsyncWorkerActor, *args: Any, **options: Any) -> Report:
        if not failed.exists():  # forked workers inherit it
            failed.touch()
            raise RuntimeError("a fault of the worker's own")
        return fit(self, *args, **options)

    monkeypatch.setattr(AsyncWorkerActor, "fit", fail_once)
    with make_limits_app(workers=1, concurrency=4) as app:
        near = app.enqueue("neighbour", {"path": str(gate)})
        assert eventually(lambda: state_in(near.status()) == "running")

        fails = ended(app.enqueue("loop_name"))

        gate.touch()
        spared = ended(near)

    assert [it.is_succeeded for it in (fails, spared)] == [True, True]
    assert [it.status.starts for it in (fails, spared) if it.status] == [2, 2]


def test_a_coroutine_that_cancels_itself_has_failed(limits_app: StemApp) -> None:
    result = ended(limits_app.enqueue("cancel_itself"))

    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == "CancelledError"
    assert (verdict_of(result).reason, result.status.starts) == ("raised", 1)


def test_a_worker_full_of_coroutines_at_their_limit_ends_each_of_them_once(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=2, concurrency=400) as app:
        handles = [app.enqueue("asleep", {"path": journal.path}) for _ in range(800)]

        results = [ended(it) for it in handles]

    verdicts = [verdict_of(it) for it in results]
    assert {it.reason for it in verdicts} == {"soft"}
    assert {it.status.starts for it in results if it.status} == {1}
    assert max(it.wall_s or 0 for it in verdicts) < SOFT_S + LATE_S
    assert all("in _serve\n" in (it.soft_stack or "") for it in verdicts)
    assert journal.words.count("clean-up") == 800


def test_a_coroutine_that_finishes_in_its_grace_keeps_its_success(
    limits_app: StemApp,
) -> None:
    result = ended(limits_app.enqueue("finish_in_time"))

    assert result.value == "a part, soft"
    assert result.status is not None
    assert result.status.verdict is not None
    assert result.status.verdict.reason == "returned"
    assert result.status.verdict.soft_exceeded
