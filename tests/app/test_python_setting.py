"""A program that embeds Python names the interpreter that its supervisor is run by."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stem_actor import StemApp
from stem_actor.errors import SettingsError
from tests.imports import ROOT

#: As in a program that embeds Python: ``sys.executable`` is that program.
HOST = """
import sys
sys.executable, method, python, rings = sys.argv[1:5]
sys.path.insert(0, {root!r})
from stem_actor import StemApp

app = StemApp(workers=1, slots=256, arena_bytes=1 << 20, runtime_dir=rings,
              start_method=method, python=python or None)

@app.task
def double(n: int) -> int:
    return 2 * n

if __name__ == "__main__":
    try:
        with app:
            print(double.enqueue(21).result(timeout=30))
    except Exception as error:
        print(type(error).__name__, error)
"""


def run(folder: Path, method: str, python: str) -> str:
    """Return what a host says whose ``sys.executable`` says ``I am a game``."""
    game = folder / "game"
    game.write_text("#!/bin/sh\necho I am a game\n")
    game.chmod(0o755)
    script = folder / "host.py"
    script.write_text(textwrap.dedent(HOST).format(root=str(ROOT)))
    done = subprocess.run(
        [sys.executable, script, game, method, python, folder / "rings"],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("method", ["fork", "import", "spawn"])
def test_the_named_interpreter_runs_what_is_not_forked(
    tmp_path: Path, method: str
) -> None:
    assert run(tmp_path, method, sys.executable) == "42"


def test_an_executable_that_is_no_python_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    said = run(tmp_path, "fork", "")

    assert said.startswith(f"SettingsError '{tmp_path / 'game'}', which should run")
    assert "it said 'I am a game'; pass python=" in said
    assert not (tmp_path / "rings").exists()


def test_a_name_is_looked_up_and_a_virtual_environment_is_not_left() -> None:
    by_name = StemApp(python="sh").settings.python
    by_path = StemApp(python=Path(sys.executable)).settings.python

    assert Path(by_name).is_absolute()
    assert Path(by_name).name == "sh"
    assert by_path == sys.executable
    assert StemApp().settings.python == sys.executable


def test_something_that_is_no_path_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="python must be the path of an interp"):
        StemApp(python=3.11)  # type: ignore[arg-type]
