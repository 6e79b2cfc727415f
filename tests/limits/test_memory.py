"""Limits of memory and of processor time."""

from __future__ import annotations

import time

import pytest

from stem_actor import StemApp
from tests.limits import jobs_processes
from tests.limits.conftest import LATE_S, ended, verdict_of
from tests.limits.footing import all_gone
from tests.limits.journal import Journal

JOBS = (jobs_processes,)
MIB = 1 << 20


@pytest.mark.case(50)
@pytest.mark.parametrize(
    ("name", "args"), [("take", {"size": 1 << 30}), ("grow", {"step": 4 * MIB})]
)
def test_a_task_over_its_memory_limit_is_killed_before_it_has_it_all(
    limits_app: StemApp, name: str, args: dict[str, int]
) -> None:
    result = ended(limits_app.enqueue(name, args))

    verdict = verdict_of(result)
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.message == "memory limit of 314,572,800 bytes exceeded"
    assert (verdict.reason, verdict.signal, verdict.oom) == ("memory", 9, False)
    assert verdict.peak_rss is not None
    assert verdict.peak_rss > 250 * MIB
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(50)
def test_memory_of_a_child_counts_against_the_limit_of_its_task(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "size": 400 * MIB}

    verdict = verdict_of(ended(limits_app.enqueue("take_in_child", args)))

    assert verdict.reason == "memory"
    assert all_gone([int(word) for word in journal.words])


@pytest.mark.case(50)
def test_what_children_share_with_their_worker_counts_once(
    limits_app: StemApp,
) -> None:
    args = {"size": 120 * MIB, "count": 4}

    result = ended(limits_app.enqueue("share", args))

    assert result.is_succeeded


@pytest.mark.case(51)
def test_processor_time_of_a_child_that_nobody_waits_for_counts(
    limits_app: StemApp, journal: Journal
) -> None:
    verdict = verdict_of(
        ended(limits_app.enqueue("burn_in_child", {"path": journal.path}))
    )

    assert verdict.reason == "cpu"
    assert all_gone([int(word) for word in journal.words])


@pytest.mark.case(51)
@pytest.mark.parametrize("threads", [1, 4])
def test_processor_time_of_all_threads_counts_and_c_cannot_hide_it(
    limits_app: StemApp, hostile: str, threads: int
) -> None:
    began = time.monotonic()

    verdict = verdict_of(
        ended(limits_app.enqueue("burn", {"library": hostile, "threads": threads}))
    )

    assert time.monotonic() - began < 5.0 + LATE_S
    assert verdict.reason == "cpu"
    assert verdict.cpu_s is not None
    assert 0.45 <= verdict.cpu_s < 2.5
