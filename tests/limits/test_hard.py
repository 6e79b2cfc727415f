"""Handlers that nothing inside their process can end: the hard limit does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stem_actor import StemApp
from tests.limits import jobs
from tests.limits.conftest import LATE_S, ended, eventually, verdict_of
from tests.limits.journal import Journal

JOBS = (jobs,)
SOFT_S = 0.3
HARD_S = 0.9


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        pytest.param("count_in_c", {}, ["begin"], marks=pytest.mark.case(3)),
        pytest.param(
            "lock_twice", {"holds_gil": True}, ["begin"], marks=pytest.mark.case(4)
        ),
        pytest.param(
            "lock_twice", {"holds_gil": False}, ["begin"], marks=pytest.mark.case(5)
        ),
        # Swallowed once: a handler that was told is not told again.
        pytest.param(
            "suppress_all", {}, ["begin", "swallowed"], marks=pytest.mark.case(10)
        ),
        pytest.param(
            "suppress_base",
            {},
            ["begin", "SoftTimeLimitExceeded"],
            marks=pytest.mark.case(11),
        ),
        pytest.param(
            "clean_up_slowly", {}, ["begin", "cleaning"], marks=pytest.mark.case(13)
        ),
        pytest.param("block_signals", {}, ["begin"], marks=pytest.mark.case(16)),
        pytest.param("stop_itself", {}, ["begin"], marks=pytest.mark.case(17)),
    ],
)
def test_a_handler_that_cannot_be_interrupted_is_killed_at_its_hard_limit(
    limits_app: StemApp,
    journal: Journal,
    name: str,
    args: dict[str, object],
    words: list[str],
) -> None:
    began = time.monotonic()

    result = ended(limits_app.enqueue(name, {"path": journal.path, **args}))

    took_s = time.monotonic() - began
    assert HARD_S <= took_s < HARD_S + LATE_S
    assert result.is_failed
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == "HardTimeLimitExceeded"
    verdict = verdict_of(result)
    assert (verdict.reason, verdict.signal, verdict.swept) == ("hard", 9, 0)
    assert verdict.soft_exceeded
    assert verdict.late_s is not None
    assert 0 <= verdict.late_s < LATE_S
    assert journal.words == words
    assert (verdict.soft_stack is None) == (words == ["begin"])
    assert eventually(lambda: not Path(f"/proc/{verdict.pid}").exists())
    assert ended(limits_app.enqueue("pid")).is_succeeded


def test_the_last_words_of_a_pure_c_loop_name_the_line_that_called_it(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("count_in_c", {"path": journal.path}))

    assert "in count_in_c" in (verdict_of(result).stack or "")


@pytest.mark.parametrize("threads", [3, 150])
def test_the_last_words_name_the_handler_once_however_many_threads_it_has(
    limits_app: StemApp, journal: Journal, threads: int
) -> None:
    args = {"path": journal.path, "threads": threads}

    result = ended(limits_app.enqueue("count_among_threads", args))

    stack = verdict_of(result).stack or ""
    assert stack.count("in count_among_threads\n") == 1
    assert "in _bootstrap" in stack  # of another thread
