"""Producers die and stop; what they were told is accepted runs all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.fault import crashpoints, evidence
from tests.fault.conftest import SEEDS, TASKS, Place
from tests.fault.program import program, read_ledger
from tests.fault.soak import wait_until

#: Every point of a submit, and of the reading of replies.
POINTS: Final = {
    "ring.reserved",
    "submit.copied",
    "ring.sealed",
    "ring.published",
    "ring.released",
}


def test_a_producer_killed_at_any_point_leaves_what_it_was_told_and_no_half(
    place: Place, built: Path
) -> None:
    app = place.named()
    with app:
        before = app.stats()["producers"]
        folder = place.root / "ledgers"
        folder.mkdir()
        ended = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "tests.fault.producer_points"),
                *(str(place.ring), str(folder), str(place.journal)),
            ],
            env={**os.environ, "PYTHONPATH": crashpoints.path()},
            cwd=crashpoints.ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
        assert wait_until(lambda: app.stats()["live"] == 0, 60), app.health()
        assert wait_until(lambda: app.stats()["producers"] == before, 20), "I6: rings"

        soak = place.soak(app, 0)
        for ledger in folder.glob("*.ledger"):
            soak.take_over(read_ledger(ledger))
        soak.report.kills = []  # producers died, and nobody else
        assert soak.audit() == []
        assert set(json.loads(ended.stdout)) == POINTS
        assert evidence.names_in(app.directory)["p.ring"] == before
        spooled = {path.name for path in app.directory.spool.iterdir()}
        assert not [name for name in spooled if name.endswith(".tmp")]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_task_that_a_dead_producer_was_told_is_accepted_runs(
    place: Place, seed: int
) -> None:
    rng = Random(seed)
    ledgers = [place.root / f"ledger-{number}" for number in range(3)]
    app = place.named()
    with app:
        before = app.stats()["producers"]
        with ExitStack() as stack:
            running = [
                stack.enter_context(
                    program(
                        "producer",
                        place.ring,
                        ledger,
                        place.journal,
                        seed=seed << 8 | number,
                        count=TASKS,
                    )
                )
                for number, ledger in enumerate(ledgers)
            ]
            for process, ledger in zip(running, ledgers, strict=True):
                enough = rng.randrange(10, 60)
                assert wait_until(
                    lambda it=ledger, n=enough: len(read_ledger(it).accepted) >= n, 30
                )
                process.kill()
        assert wait_until(lambda: app.stats()["live"] == 0, 60), app.health()
        assert wait_until(lambda: app.stats()["producers"] == before, 20), "I6: rings"

        soak = place.soak(app, seed)
        for ledger in ledgers:
            soak.take_over(read_ledger(ledger))
        assert soak.audit() == []
        assert evidence.names_in(app.directory)["p.ring"] == before


def test_a_producer_killed_with_its_supervisor_loses_nothing(place: Place) -> None:
    ledger = place.root / "ledger"
    app = place.named()
    with app:
        with program(
            "producer", place.ring, ledger, place.journal, seed=3, count=TASKS
        ) as process:
            assert wait_until(lambda: len(read_ledger(ledger).accepted) > 30, 30)
            supervisor = app.directory.owner()
            assert supervisor
            os.kill(supervisor, signal.SIGSTOP)  # what follows is in no slot yet
            count = len(read_ledger(ledger).accepted)
            wait_until(lambda: len(read_ledger(ledger).accepted) > count + 20, 5)
            process.kill()
            process.wait()
            os.kill(supervisor, signal.SIGKILL)
        assert wait_until(lambda: app.stats()["live"] == 0, 60), app.health()
        # Its ring is given up once it is clear that its process does not come back.
        assert wait_until(lambda: app.stats()["producers"] == 1, 20)
        assert wait_until(lambda: app.stats()["live"] == 0, 60), app.health()

        soak = place.soak(app, 3)
        soak.take_over(read_ledger(ledger))
        soak.report.losses = 3
        assert soak.audit() == []


def test_a_stopped_producer_holds_nobody_else_up(place: Place) -> None:
    ledger = place.root / "ledger"
    app = place.named()
    with app:
        with program(
            "producer", place.ring, ledger, place.journal, seed=4, count=TASKS
        ) as process:
            assert wait_until(lambda: len(read_ledger(ledger).accepted) > 30, 30)
            process.send_signal(signal.SIGSTOP)
            stopped_at = len(read_ledger(ledger).accepted)

            soak = place.soak(app, 5)
            soak.submit(100)
            soak.drain()

            assert soak.findings == []
            process.send_signal(signal.SIGCONT)
            assert wait_until(
                lambda: len(read_ledger(ledger).accepted) > stopped_at + 30, 30
            )
        assert wait_until(lambda: app.stats()["live"] == 0, 60), app.health()
        soak.take_over(read_ledger(ledger))
        assert soak.audit() == []
