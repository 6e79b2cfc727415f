"""Each fuzz target for a moment: it builds, takes its seeds, and finds nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .__main__ import build
from .seeds import SEEDS


@pytest.mark.parametrize("name", SEEDS)
def test_a_moment_of_hostile_bytes_finds_nothing(name: str) -> None:
    target = build(name)

    ended = subprocess.run(
        target.command(1, 1),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr[-3000:]
