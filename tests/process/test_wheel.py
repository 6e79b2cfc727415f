"""The package as a wheel, without a compiler, and on another platform."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.imports import ROOT

TIMEOUT_S = 110


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what git knows, without anything that was built."""
    copy = tmp_path / "tree"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    ).stdout.split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file() and not name.startswith(("tests/", "docs/", "bench/")):
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    if not names[0]:
        pytest.skip("this tree is no git repository: nobody says what belongs to it")
    return copy


def build(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel into ``dist``, with the tools of this environment."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-build-isolation"),
            *("--no-deps", "--disable-pip-version-check", "--wheel-dir", "dist", "."),
        ],
        cwd=tree,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_a_wheel_has_the_extension_the_guardian_and_the_types(tree: Path) -> None:
    done = build(tree)

    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tree / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        guardian = archive.getinfo("stem_actor/_guardian")
    assert "linux" in wheel.name
    assert [name for name in names if name.startswith("stem_actor/_core")]
    assert guardian.external_attr >> 16 & 0o111, "the guardian is not executable"
    assert archive.NameToInfo["stem_actor/py.typed"].file_size == 0
    assert [name for name in names if name.startswith(("tests/", "native/"))] == []


def test_a_wheel_runs_tasks_where_nothing_else_is(tree: Path, tmp_path: Path) -> None:
    assert build(tree).returncode == 0
    (wheel,) = (tree / "dist").iterdir()
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    guardian = site / "stem_actor" / "_guardian"
    guardian.chmod(0o755)  # as an installer does
    program = f"""
import stem_actor
assert stem_actor.__file__.startswith({str(site)!r}), stem_actor.__file__
app = stem_actor.StemApp(workers=1, slots=64, arena_bytes=1 << 20,
                         runtime_dir={str(tmp_path / "rings")!r})

@app.task
def double(number: int) -> int:
    return 2 * number

with app:
    print(double.enqueue(21).result(timeout=30))
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.stdout == "42\n", done.stderr


def test_without_a_compiler_the_build_says_what_to_install(tree: Path) -> None:
    done = build(tree, CC="/nonexistent/cc")

    assert done.returncode != 0
    said = done.stdout + done.stderr
    lines = [line.strip() for line in said.splitlines() if "stem_actor: " in line]
    assert len(set(lines)) == 1, said
    assert "/nonexistent/cc" in lines[0]
    assert "install gcc" in lines[0]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_on_another_platform_the_import_works_and_a_start_says_why_not(
    platform: str, tmp_path: Path
) -> None:
    # The standard library and others' packages look at the platform, too: theirs first.
    program = f"""
import asyncio, sqlite3, subprocess, sys, sysconfig
import click, msgspec, psutil, rich.console, uvloop
sysconfig.get_config_vars()
sys.platform = {platform!r}
import stem_actor
app = stem_actor.StemApp(workers=1, runtime_dir={str(tmp_path)!r})

@app.task
def double(number: int) -> int:
    return 2 * number

assert double(21) == 42
try:
    app.start()
except stem_actor.StemError as error:
    print(type(error).__name__, error)
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.stdout == (
        f"RingError the shared-memory ring is not supported on {platform} yet; "
        "use Linux, or a network broker\n"
    ), done.stderr
    assert list(tmp_path.iterdir()) == []
