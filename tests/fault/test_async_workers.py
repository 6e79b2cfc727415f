"""Coroutines and children under fire: many tasks in one process that dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.fault.conftest import SECONDS, SEEDS, TASKS, Footprint, Place
from tests.fault.evidence import told
from tests.fault.jobs import Plan, children_ledger
from tests.fault.journal import Mark, read_journal
from tests.fault.program import read_ledger
from tests.fault.soak import wait_until

AT_ONCE: Final = 8
KILLS: Final = ("worker", "worker", "supervisor", "both")


@pytest.mark.parametrize("seed", SEEDS)
def test_coroutines_and_children_under_fire_leave_one_ending_each(
    place: Place, seed: int
) -> None:
    app = place.app(concurrency=AT_ONCE, slots=16384)
    with app:
        soak = place.soak(app, seed, concurrency=AT_ONCE)
        soak.submit(1)[0].wait(20)
        before = Footprint.settled(app)

        soak.under_fire(KILLS, seed=seed, seconds=SECONDS, tasks=TASKS)

        assert soak.audit() == []
        assert set(soak.report.done) == set(KILLS)
        children = read_ledger(children_ledger(place.journal)).accepted
        assert len(children) > TASKS // 100
        assert wait_until(lambda: before.is_that_of(app), 20), (
            f"I6: {before} became {Footprint.of(app)}"
        )


def test_sleeping_coroutines_of_a_killed_worker_are_collateral_all(
    place: Place,
) -> None:
    app = place.app(workers=1, concurrency=AT_ONCE)
    with app:
        soak = place.soak(app, 0, concurrency=AT_ONCE)
        args = {"number": 0, "seconds": 0.3}
        handles = [
            soak.enqueue(Plan("awork", args, "succeeded", 0)) for _ in range(AT_ONCE)
        ]
        assert wait_until(lambda: len(_starts(soak.journal)) == AT_ONCE, 20)
        (pid,) = set(_starts(soak.journal))

        os.kill(pid, signal.SIGKILL)
        for handle in handles:
            handle.result(20)

        assert soak.audit() == []
        tolls = soak.evidence().tolls
        assert {told(handle).starts for handle in handles} == {2}
        assert {tolls[it.id].collaterals + tolls[it.id].crashes for it in handles} == {
            1
        }
        # One of them may have been at work in that very moment.
        assert sum(tolls[it.id].crashes for it in handles) <= 1


def _starts(journal: Path) -> list[int]:
    """Return the pid of each start."""
    return [it.pid for it in read_journal(journal) if it.mark is Mark.START]
