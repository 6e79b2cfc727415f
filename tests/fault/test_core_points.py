"""The core under a kill at every numbered step, alone and inside its recovery."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.fault import crashpoints
from tests.fault.conftest import IS_LONG

#: For the pairs of kills; all of them take half a minute on a quiet machine.
SECONDS = 3600 if IS_LONG else 15
#: Single kills are never cut short.
LIMIT_S = SECONDS + 90


def test_every_kill_leaves_each_task_with_one_ending_and_exact_starts(
    built: Path,
) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "tests.fault.core_points"),
            *("--seconds", str(SECONDS)),
        ],
        env={**os.environ, "PYTHONPATH": crashpoints.path()},
        cwd=crashpoints.ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    # The last lines name the kill, to be repeated by --once.
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
