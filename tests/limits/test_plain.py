"""Plain handlers at a soft limit: they end at once, clean up, and harm nobody."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from stem_actor import StemApp, TaskResult
from stem_actor.model.verdict import Verdict
from tests.limits import jobs
from tests.limits.conftest import LATE_S, Maker, ended, eventually, verdict_of
from tests.limits.footing import all_gone
from tests.limits.journal import Journal

JOBS = (jobs,)
SOFT_S = 0.3


def is_interrupted(result: TaskResult[object], took_s: float) -> Verdict:
    """Assert that *result* is the ending by a soft limit; return its verdict."""
    verdict = verdict_of(result)
    assert result.is_failed
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == "SoftTimeLimitExceeded"
    assert verdict.reason == "soft"
    assert verdict.soft_exceeded
    assert SOFT_S <= took_s < SOFT_S + LATE_S
    assert verdict.wall_s is not None
    assert SOFT_S - 0.001 <= verdict.wall_s < SOFT_S + LATE_S
    return verdict


def run_to_limit(app: StemApp, name: str, journal: Journal, **args: object) -> Verdict:
    """Run *name* into its soft limit; its clean-up must have run, and run once."""
    began = time.monotonic()

    result = ended(app.enqueue(name, {"path": journal.path, **args}))

    verdict = is_interrupted(result, time.monotonic() - began)
    assert verdict.soft_stack is not None
    assert f"in {name}" in verdict.soft_stack
    assert is_replaced(app, verdict)
    assert ended(app.enqueue("pid")).value not in (None, verdict.pid)
    return verdict


def flag_of(result: TaskResult[object]) -> bool:
    """Return whether *result* says that its soft limit had passed."""
    assert result.status is not None
    assert result.status.verdict is not None
    return result.status.verdict.soft_exceeded


def is_replaced(app: StemApp, verdict: Verdict) -> bool:
    """Whether the process of *verdict* is gone, and both places are taken again."""

    def is_done() -> bool:
        pids = [it.pid for it in app.workers() if not it.is_spare]
        return verdict.pid not in pids and len(pids) == 2 and 0 not in pids

    assert verdict.pid is not None
    return eventually(is_done) and not Path(f"/proc/{verdict.pid}").exists()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("sleep", marks=pytest.mark.case(1)),
        pytest.param("spin", marks=pytest.mark.case(2)),
        pytest.param("match_slowly", marks=pytest.mark.case(7)),
        pytest.param("receive", marks=pytest.mark.case(8)),
        pytest.param("lock_file", marks=pytest.mark.case(9)),
        pytest.param("take_signals", marks=pytest.mark.case(15)),
        pytest.param("join_helper", marks=pytest.mark.case(19)),
    ],
)
def test_a_handler_is_interrupted_wherever_python_can_stop(
    limits_app: StemApp, journal: Journal, name: str
) -> None:
    run_to_limit(limits_app, name, journal)

    assert journal.words == ["begin", "clean-up"]


@pytest.mark.case(6)
@pytest.mark.parametrize("holds_gil", [True, False], ids=["gil-held", "gil-free"])
def test_a_system_call_in_c_is_interrupted_whoever_holds_the_gil(
    limits_app: StemApp, journal: Journal, holds_gil: bool
) -> None:
    run_to_limit(limits_app, "sleep_in_c", journal, holds_gil=holds_gil)

    assert journal.words == ["begin", "clean-up"]


@pytest.mark.case(12)
def test_an_interruption_that_python_drops_comes_again(
    limits_app: StemApp, journal: Journal
) -> None:
    run_to_limit(limits_app, "drop", journal)

    assert journal.words == ["begin", "del", "clean-up"]


@pytest.mark.case(12)
def test_an_interruption_does_not_come_again_within_the_hook_that_says_it_was_dropped(
    make_limits_app: Maker, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Forked workers inherit it; what is raised in there is dropped without a word.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: time.sleep(0.1))
    with make_limits_app() as app:
        run_to_limit(app, "drop", journal)

    assert journal.words == ["begin", "del", "clean-up"]


def test_a_handler_that_closes_what_the_worker_has_open_hears_of_its_limit(
    limits_app: StemApp, journal: Journal
) -> None:
    run_to_limit(limits_app, "close_descriptors", journal)

    assert journal.words == ["begin", "clean-up"]


def test_a_handler_as_deep_as_it_may_go_hears_of_its_limit(
    limits_app: StemApp, journal: Journal
) -> None:
    run_to_limit(limits_app, "recurse", journal)

    assert journal.words == ["begin", "clean-up"]


@pytest.mark.parametrize("room", [2, 6, 12])
def test_a_handler_that_leaves_few_frames_hears_of_its_limit(
    limits_app: StemApp, journal: Journal, room: int
) -> None:
    run_to_limit(limits_app, "fill_stack", journal, room=room)

    assert journal.words == ["begin", "clean-up"]


@pytest.mark.case(14)
def test_generators_and_context_managers_are_closed_inside_out_and_once(
    limits_app: StemApp, journal: Journal
) -> None:
    run_to_limit(limits_app, "nest", journal)

    assert journal.words == ["begin", "generator", "callback", "clean-up"]


@pytest.mark.case(27)
def test_an_interrupted_import_works_in_the_next_worker(
    limits_app: StemApp, tmp_path: Path
) -> None:
    first = tmp_path / "was-imported"
    (tmp_path / "slow_to_import.py").write_text(
        "import os, time\n"
        f"if not os.path.exists({str(first)!r}):\n"
        f"    open({str(first)!r}, 'w').close()\n"
        "    time.sleep(60)\n"
        "VALUE = 7\n"
    )
    began = time.monotonic()

    result = ended(limits_app.enqueue("import_slowly", {"folder": str(tmp_path)}))

    verdict = is_interrupted(result, time.monotonic() - began)
    assert "slow_to_import.py" in (verdict.soft_stack or "")
    assert is_replaced(limits_app, verdict)
    handles = [
        limits_app.enqueue("import_slowly", {"folder": str(tmp_path)}) for _ in range(8)
    ]
    assert [ended(it).value for it in handles] == [7] * 8


@pytest.mark.case(37)
def test_a_handler_that_finishes_in_its_grace_keeps_its_success(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("finish_in_time", {"path": journal.path}))

    assert result.value == "a part"
    assert journal.words == ["SoftTimeLimitExceeded soft"]
    assert result.status is not None
    verdict = result.status.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.soft_exceeded) == ("returned", True)
    assert "in finish_in_time" in (verdict.soft_stack or "")
    assert is_replaced(limits_app, verdict)


@pytest.mark.case(36)
def test_a_signal_that_comes_after_its_start_has_ended_strikes_nobody(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=1) as app:
        late = ended(app.enqueue("outlast", {"path": journal.path}))

        after = ended(app.enqueue("let_through", {"path": journal.path}))

    assert journal.words == ["pending", "unblocked"]
    assert late.is_succeeded
    assert after.is_succeeded
    assert late.value == after.value  # one process: the signal was pending in it
    flags = [flag_of(it) for it in (late, after)]
    assert flags == [True, False]


@pytest.mark.parametrize("by", ["spoil", "spoil_limited"])
@pytest.mark.parametrize(
    ("how", "name", "words"),
    [
        ("blocked", "sleep", ["begin", "clean-up"]),
        ("ignored", "sleep", ["begin", "clean-up"]),
        ("deadly", "sleep", ["begin", "clean-up"]),
        ("put back", "sleep", ["begin", "clean-up"]),
        ("hooked", "drop", ["begin", "del", "clean-up"]),
        ("hooked around", "drop", ["begin", "del", "clean-up"]),
    ],
)
def test_what_a_task_leaves_behind_takes_no_limit_from_the_next(
    make_limits_app: Maker,
    journal: Journal,
    by: str,
    how: str,
    name: str,
    words: list[str],
) -> None:
    with make_limits_app(workers=1) as app:
        spoils = app.enqueue(by, {"how": how})
        next_one = app.enqueue(name, {"path": journal.path})

        spoiled, result = ended(spoils), ended(next_one)

    verdict = verdict_of(result)
    assert (verdict.reason, verdict.pid) == ("soft", spoiled.value)
    assert verdict.wall_s is not None
    assert SOFT_S - 0.001 <= verdict.wall_s < SOFT_S + LATE_S
    assert journal.words == words


@pytest.mark.case(20)
def test_a_thread_that_is_left_over_is_named_and_ends_with_its_worker(
    limits_app: StemApp,
) -> None:
    result = ended(limits_app.enqueue("leave_thread", {"name": "left-over"}))

    assert result.status is not None
    verdict = result.status.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.threads) == ("returned", ("left-over",))
    assert verdict.pid == result.value
    assert is_replaced(limits_app, verdict)
    assert ended(limits_app.enqueue("pid")).value != os.getpid()


@pytest.mark.parametrize("fails", [False, True])
def test_a_process_that_is_left_over_is_named_and_ends_with_its_worker(
    make_limits_app: Maker, fails: bool
) -> None:
    with make_limits_app(workers=1) as app:
        result = ended(app.enqueue("leave_child", {"fails": fails}))
        assert result.status is not None
        found = verdict_of(result) if fails else result.status.verdict
        assert found is not None
        assert found.reason == ("raised" if fails else "returned")
        [name, number] = found.descendants[0].split(" ")

        after = ended(app.enqueue("pid")).value

        assert (name, len(found.descendants)) == ("sleep", 1)
        assert after != found.pid
        assert all_gone([int(number.strip("()")), found.pid or 0])


def test_what_modules_keep_for_later_ends_no_worker(make_limits_app: Maker) -> None:
    with make_limits_app(workers=1) as app:
        result = ended(app.enqueue("leave_pool"))
        after = [ended(app.enqueue(it)).value for it in ("reap_child", "pid")]

    assert result.value is not None
    assert result.status is not None
    assert result.status.verdict is not None
    assert "kept_0" in result.status.verdict.threads
    assert result.status.verdict.descendants == ()
    assert after == [result.value[0]] * 2
