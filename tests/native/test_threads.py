"""The edges between processes, with threads in their places."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("run_threads.sh")


@pytest.mark.parametrize("variant", ["", "tsan"])
def test_rings_grants_and_bell_hold_between_threads(variant: str) -> None:
    compiler = os.environ.get("CC") or shutil.which("gcc") or "cc"
    if variant and not sanitizes(compiler):
        pytest.skip(f"{compiler} has no thread sanitizer")

    ended = subprocess.run(
        ["sh", str(SCRIPT), variant],
        env={**os.environ, "CC": compiler},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr


def sanitizes(compiler: str) -> bool:
    """Return whether *compiler* can link a program under ThreadSanitizer."""
    command = [*compiler.split(), "-fsanitize=thread", "-xc", "-", "-o", "/dev/null"]
    ended = subprocess.run(
        command, input=b"int main(void) { return 0; }", capture_output=True, check=False
    )
    return ended.returncode == 0
