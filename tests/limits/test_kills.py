"""Kills at the hard limit: one after the other, all at once, and what comes after."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stem_actor import StemApp
from tests.limits import jobs_processes
from tests.limits.conftest import LATE_S, Maker, ended, verdict_of
from tests.limits.footing import at_rest, guardian_of, returns_to, supervisor_of
from tests.limits.journal import Journal

JOBS = (jobs_processes,)
MIB = 1 << 20
KILLS = 1_000 if os.environ.get("STEM_ACTOR_FAULT") == "long" else 100


@pytest.mark.case(34)
@pytest.mark.parametrize(
    ("name", "after"), [("hold_logging_lock", "log"), ("hold_process_lock", "pid")]
)
def test_a_kill_within_a_lock_leaves_no_lock_behind(
    limits_app: StemApp, journal: Journal, name: str, after: str
) -> None:
    verdict = verdict_of(ended(limits_app.enqueue(name, {"path": journal.path})))

    assert verdict.reason == "hard"
    assert len(journal.words) == 1
    handles = [limits_app.enqueue(after, {}) for _ in range(4)]
    assert all(ended(handle).is_succeeded for handle in handles)


@pytest.mark.case(40)
def test_a_retry_after_a_hard_limit_runs_in_another_process_with_the_next_number(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("retry_after_kill", {"path": journal.path}))

    attempts = [word.split() for word in journal.words]
    assert result.value == 2
    assert [int(number) for number, _ in attempts] == [0, 1, 2]
    assert len({pid for _, pid in attempts}) == 3


@pytest.mark.case(43)
@pytest.mark.timeout(900)
def test_kills_in_a_row_leave_nothing_behind(make_limits_app: Maker) -> None:
    with make_limits_app() as app:
        for _ in range(4):
            ended(app.enqueue("spin", {}))
        before = at_rest(app)
        memory = _memory(app)

        handles = [app.enqueue("spin", {}) for _ in range(KILLS)]
        seconds, results = [], []
        for first in range(0, KILLS, KILLS // 5):
            began = time.monotonic()
            fifth = handles[first : first + KILLS // 5]
            results += [ended(handle, timeout=600) for handle in fifth]
            seconds.append(time.monotonic() - began)

        assert {verdict_of(result).reason for result in results} == {"hard"}
        assert [it.status.starts for it in results if it.status] == [1] * KILLS
        assert len({verdict_of(result).pid for result in results}) == KILLS
        # Flat, as far as a machine with other work can show it.
        assert seconds[-1] < 3 * min(seconds[:-1]) + LATE_S, seconds
        assert returns_to(app, before)
        grown = [now - then for now, then in zip(_memory(app), memory, strict=True)]
        # The dead letters' page cache, 2 MB, and the guardian's outbox, 1 MB, are
        # written all over once.
        assert max(grown) < 4 * MIB, grown
        assert ended(app.enqueue("add", {"a": 1})).value == 1
        assert app.health()["ok"]


@pytest.mark.case(44)
def test_all_workers_at_their_limit_at_the_same_instant(
    make_limits_app: Maker, journal: Journal
) -> None:
    args = {"path": journal.path, "seconds": 60}
    with make_limits_app(workers=8) as app:
        began = time.monotonic()
        handles = [app.enqueue("sleep_limited", args) for _ in range(8)]
        verdicts = [verdict_of(ended(handle)) for handle in handles]
        took_s = time.monotonic() - began

        assert [verdict.reason for verdict in verdicts] == ["hard"] * 8
        assert took_s < 1.0 + 2 * LATE_S
        assert len(journal.words) == 8
        assert ended(app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(34)
def test_a_kill_of_one_task_leaves_its_neighbours_files_alone(
    limits_app: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    other = limits_app.enqueue("sleep", {"path": str(path), "seconds": 1.0})
    killed = limits_app.enqueue("spin", {})

    assert verdict_of(ended(killed)).reason == "hard"
    assert ended(other).is_succeeded


def _memory(app: StemApp) -> tuple[int, int]:
    """Return the bytes of guardian and supervisor of their own."""
    return _anonymous(guardian_of(app)), _anonymous(supervisor_of(app))


def _anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024
