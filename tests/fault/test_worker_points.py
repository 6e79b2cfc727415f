"""Real workers, killed at every numbered point that they pass while tasks run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.fault import crashpoints
from tests.fault.conftest import IS_LONG, SEEDS

PAIRS: Final = 64 if IS_LONG else 8
LIMIT_S: Final = 600 if IS_LONG else 100
#: Every point between the look at an offer and the outcome, children included.
POINTS: Final = {
    "worker.before_claim",
    "worker.claimed",
    "submit.copied",
    "worker.copied",
    "ring.reserved",
    "ring.sealed",
    "ring.published",
}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_worker_killed_at_any_point_loses_and_doubles_nothing(
    built: Path, kind: str
) -> None:
    died = _run(kind)

    assert set(died) == POINTS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_worker_and_its_supervisor_killed_at_any_points_lose_nothing(
    built: Path, kind: str, seed: int
) -> None:
    died = _run(kind, "--pairs", str(PAIRS), "--seed", str(seed))

    assert sum(died.values()) >= PAIRS


def _run(kind: str, *options: str) -> dict[str, int]:
    """Return at which points workers died; fail with what the audits found."""
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "tests.fault.worker_points", kind, *options],
        env={**os.environ, "PYTHONPATH": crashpoints.path()},
        cwd=crashpoints.ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
    died: dict[str, int] = json.loads(ended.stdout)
    return died
