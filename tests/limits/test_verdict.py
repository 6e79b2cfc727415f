"""What the record of an ended start holds, for each way in which it can end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from stem_actor import StemApp, TaskResult
from stem_actor.model.verdict import Verdict
from tests.limits import jobs_verdict
from tests.limits.conftest import LATE_S, Maker, ended, eventually, verdict_of
from tests.limits.footing import supervisor_of
from tests.limits.journal import Journal

JOBS = (jobs_verdict,)
_MB = 1 << 20


def in_status(result: TaskResult[object]) -> Verdict:
    """Return the verdict in the status of *result*."""
    assert result.status is not None
    assert result.status.verdict is not None
    return result.status.verdict


def test_a_result_carries_what_its_start_has_used(limits_app: StemApp) -> None:
    handle = limits_app.enqueue("work", {"seconds": 0.2, "megabytes": 64})

    verdict = in_status(ended(handle))

    assert (verdict.reason, verdict.soft_exceeded) == ("returned", False)
    assert verdict.wall_s is not None
    assert verdict.cpu_s is not None
    assert 0.2 <= verdict.wall_s < 0.2 + LATE_S
    assert 0.19 <= verdict.cpu_s <= verdict.wall_s + 0.02
    assert (verdict.peak_rss or 0) > 64 * _MB
    assert (verdict.minor_faults or 0) > 64 * 256 // 8  # pages may be huge ones
    assert (verdict.stack, verdict.soft_stack, verdict.signal) == (None, None, None)
    status = limits_app.status(handle.id)
    assert status is not None
    assert status.verdict == verdict


def test_a_brief_result_says_that_it_was_returned_and_no_more(
    limits_app: StemApp,
) -> None:
    assert in_status(ended(limits_app.enqueue("pid"))) == Verdict(reason="returned")


def test_an_error_carries_its_verdict_and_its_stack_once(limits_app: StemApp) -> None:
    result = ended(limits_app.enqueue("fail"))

    verdict = verdict_of(result)
    assert verdict.reason == "raised"
    assert verdict.stack is not None
    assert verdict.stack.endswith("ValueError: wrong\n")
    assert verdict == in_status(result)
    assert result.status is not None
    assert result.status.error is not None
    wire = result.status.error.meta["verdict"]
    assert isinstance(wire, dict)
    assert "stack" not in wire


def test_a_soft_limit_tells_where_every_thread_was(
    limits_app: StemApp, journal: Journal
) -> None:
    verdict = verdict_of(
        ended(limits_app.enqueue("sleep_soft", {"path": journal.path}))
    )

    line = sleep_line()
    assert verdict.reason == "soft"
    assert verdict.soft_exceeded
    assert f"line {line} in sleep\n" in (verdict.soft_stack or "")
    assert f"line {line}, in sleep\n" in (verdict.stack or "")
    assert (verdict.signal, verdict.late_s, verdict.swept) == (None, None, 0)
    assert verdict.cpu_s is not None
    assert verdict.cpu_s < 0.3  # it has slept


def sleep_line() -> int:
    """Return the number of the line on which ``sleep`` sleeps."""
    return jobs_verdict.sleep.__code__.co_firstlineno + 2


def test_a_hard_limit_tells_how_late_it_was_and_what_was_swept_up(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("sleep_hard", {"path": journal.path}))

    verdict = verdict_of(result)
    child, swallowed = journal.words
    assert swallowed == "swallowed"
    assert (verdict.reason, verdict.signal, verdict.exit_status) == ("hard", 9, None)
    assert verdict.soft_exceeded
    assert "in sleep_beside_child\n" in (verdict.soft_stack or "")
    assert "in sleep_beside_child\n" in (verdict.stack or "")
    assert verdict.descendants == (f"sleep ({child})",)
    assert verdict.swept == 1
    assert verdict.late_s is not None
    assert 0 <= verdict.late_s < LATE_S
    assert verdict.wall_s is not None
    assert 0.6 <= verdict.wall_s < 0.6 + LATE_S
    assert eventually(lambda: not Path(f"/proc/{child}").exists())


def test_a_memory_limit_tells_how_much_there_was(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("grow", {"path": journal.path}))

    verdict = verdict_of(result)
    assert (verdict.reason, verdict.signal, verdict.oom) == ("memory", 9, False)
    assert (verdict.peak_rss or 0) > 256 * _MB
    assert verdict.late_s is not None
    assert 0 <= verdict.late_s < LATE_S


def test_a_limit_on_processor_time_tells_how_much_was_used(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("burn", {"path": journal.path}))

    verdict = verdict_of(result)
    assert (verdict.reason, verdict.signal) == ("cpu", 9)
    assert verdict.cpu_s is not None
    assert 0.29 <= verdict.cpu_s < 0.3 + LATE_S
    assert "in burn\n" in (verdict.stack or "")


@pytest.mark.parametrize(
    ("name", "number", "status"),
    [("crash", signal.SIGSEGV, None), ("leave", None, 3)],
)
def test_a_crash_tells_its_signal_or_exit_status(
    limits_app: StemApp,
    journal: Journal,
    name: str,
    number: int | None,
    status: int | None,
) -> None:
    verdict = verdict_of(ended(limits_app.enqueue(name, {"path": journal.path})))

    assert verdict.reason == "crashed"
    assert (verdict.signal, verdict.exit_status) == (number, status)
    assert (f"in {name}\n" in (verdict.stack or "")) == (number is not None)
    assert not verdict.oom


def test_sys_exit_is_an_exception_that_tells_its_status(
    limits_app: StemApp, journal: Journal
) -> None:
    verdict = verdict_of(ended(limits_app.enqueue("exit", {"path": journal.path})))

    assert (verdict.reason, verdict.exit_status, verdict.signal) == ("raised", 4, None)


def test_a_neighbour_of_a_crash_is_collateral(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(workers=1, concurrency=4) as app:
        near = app.enqueue("asleep_once", {"path": journal.path})
        assert eventually(lambda: journal.words == ["begin"])

        crashed = verdict_of(ended(app.enqueue("aleave", {"path": journal.path})))

        spared = verdict_of(ended(near))
    assert (crashed.reason, crashed.exit_status) == ("crashed", 5)
    assert spared.reason == "collateral"
    assert spared.pid == crashed.pid


def test_a_revoke_tells_where_the_task_was_ended(
    limits_app: StemApp, journal: Journal
) -> None:
    handle = limits_app.enqueue("sleep", {"path": journal.path})
    assert eventually(lambda: journal.words == ["begin"])

    handle.revoke(terminate=True)

    verdict = in_status(ended(handle))
    assert verdict.reason == "revoked"
    assert verdict.wall_s is not None
    assert verdict.pid is not None
    assert (verdict.signal, verdict.soft_exceeded) == (None, False)


def test_a_start_whose_supervisor_and_worker_are_both_gone_is_lost(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app() as app:
        handle = app.enqueue("sleep_once", {"path": journal.path})
        assert eventually(lambda: journal.words == ["begin"])

        os.kill(supervisor_of(app), signal.SIGKILL)

        verdict = verdict_of(ended(handle))
    assert verdict.reason == "lost"
    assert (verdict.signal, verdict.pid) == (None, None)


def test_a_task_that_waits_for_its_retry_shows_the_verdict_on_its_last_start(
    limits_app: StemApp, journal: Journal
) -> None:
    handle = limits_app.enqueue("sleep_retried", {"path": journal.path})

    def is_retried() -> bool:
        status = limits_app.status(handle.id)
        return status is not None and str(status.state) == "retried"

    assert eventually(is_retried)
    status = limits_app.status(handle.id)
    assert status is not None
    assert status.verdict is not None
    assert status.verdict.reason == "soft"
    assert "in sleep\n" in (status.verdict.soft_stack or "")
    assert handle.revoke()


def test_a_dead_letter_carries_the_verdict(
    limits_app: StemApp, journal: Journal
) -> None:
    handle = limits_app.enqueue("sleep_hard", {"path": journal.path})
    verdict = verdict_of(ended(handle))

    assert eventually(lambda: limits_app.dead_letters().get(handle.id) is not None)

    letter = limits_app.dead_letters().get(handle.id)
    assert letter is not None
    assert letter.error.verdict == verdict
