"""The app that a command finds, and the ring that it gets."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stem_actor.cli.application import find_app

MODULE = "two_projects_have_it"


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield
    sys.modules.pop(MODULE, None)


def found_in(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> str:
    """Return the ring's name of the app in a module below *folder*."""
    folder.mkdir(exist_ok=True)
    (folder / f"{MODULE}.py").write_text(source)
    sys.modules.pop(MODULE, None)
    importlib.invalidate_caches()
    monkeypatch.chdir(folder)
    sys.path[:] = [it for it in sys.path if not it.startswith(str(folder.parent))]
    return find_app(f"{MODULE}:app").directory.path.name


def test_two_projects_with_a_module_of_one_name_have_two_rings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from stem_actor import StemApp\napp = StemApp()\n"

    first = found_in(tmp_path / "first", monkeypatch, source)
    again = found_in(tmp_path / "first", monkeypatch, source)
    other = found_in(tmp_path / "other", monkeypatch, source)

    assert first == again != other
    assert first.isprintable()
    assert first.startswith(f"{MODULE}-")


def test_a_ring_that_has_a_name_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from stem_actor import StemApp\napp = StemApp(broker='ring://mine')\n"

    assert found_in(tmp_path / "named", monkeypatch, source) == "mine"


def test_a_stem_is_run_as_its_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from stem_actor import Stem\napp = Stem(broker='ring://mine')\n"

    assert found_in(tmp_path / "stem", monkeypatch, source) == "mine"
