"""
A real supervisor, killed at numbered points of the core while tasks run.

The supervisor's command is wrapped: it loads the crash-point build and dies at the
hit that a page shared with the test names. Host and workers are the ordinary ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from stem_actor.actor.host import host
from tests.fault.conftest import IS_LONG, SEEDS, Place
from tests.fault.crashpoints import CrashPage, armed_supervisor
from tests.fault.soak import wait_until

KILLS: Final = 120 if IS_LONG else 12


@pytest.fixture
def page(
    place: Place, built: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CrashPage]:
    """Supervisors of this test die at its points."""
    shared = CrashPage(place.root / "crash.page")
    monkeypatch.setattr(host, "supervisor_argv", armed_supervisor(shared.path))
    yield shared
    shared.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_supervisor_killed_at_any_point_loses_and_doubles_nothing(
    place: Place, page: CrashPage, seed: int
) -> None:
    rng = Random(seed)
    app = place.app(slots=8192 if IS_LONG else 4096)
    with app:
        soak = place.soak(app, seed)
        for _ in range(KILLS):
            page.arm(rng.randrange(1, 80))
            handles = []
            while not page.is_over:
                handles += soak.submit(5)
                wait_until(lambda: page.is_over, 0.05)
            if rng.random() < 0.5:
                page.arm(rng.randrange(1, 40))  # inside the recovery from it
            soak.report.losses += 6
            for handle in handles:
                handle.wait(20)

        soak.drain()
        assert soak.audit() == []
        assert app.stats()["epoch"] > KILLS
