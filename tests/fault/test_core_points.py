"""The core under a kill at every numbered step, alone and inside its recovery."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "crashpoints"
SECONDS = 3600 if os.environ.get("STEM_ACTOR_FAULT") == "long" else 60


def test_every_kill_leaves_each_task_with_one_ending_and_exact_starts() -> None:
    if not list(BUILT.glob("stem_actor/_core*.so")):
        pytest.skip("the crash-point build is missing: make crashpoints")
    path = os.pathsep.join(map(str, (BUILT, ROOT)))

    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "tests.fault.core_points"),
            *("--seconds", str(SECONDS)),
        ],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS + 50,
        check=False,
    )

    # The last lines name the kill, to be repeated by --once.
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
