"""The layers of the design: who may import whom, and no cycle of any kind."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.imports import ROOT, Import, imports_of, modules

PACKAGE = "stem_actor"
CORE = f"{PACKAGE}._core"

# A member is a file or folder directly below the package. It imports itself and lower
# ranks; rank 0 is imported by everybody, so its members may also see one another.
RANKS = {
    "errors": 0,
    "clock": 0,
    "ids": 0,
    "model": 0,
    "_core": 0,
    "policy": 1,
    "payload": 1,
    "ring": 1,
    "tasks": 2,
    "brokers": 2,
    "engine": 3,
    "actor": 4,
    "canvas": 4,
    "workflow": 4,
    "schedule": 4,
    "control": 4,
    "observe": 4,
    "app": 5,
    "roles": 6,
    "__init__": 7,  # the facade: what it names is public, and nothing below uses it
    "cli": 8,
    "dashboard": 8,
    "testing": 8,
    "__main__": 8,
}

# The rooms of a member that has some, in the order in which they may see one another:
# each those before it.
ROOMS = {"actor": ("tree", "worker", "supervisor", "host")}


def member_of(module: str, members: set[str]) -> str:
    """Return the member a dotted name below the package belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in members else "__init__"


def violations(root: Path) -> list[str]:
    """Return one line for each import that climbs, strays or takes the core."""
    known = modules(root, PACKAGE)
    members = {name.split(".")[1] for name in known if "." in name} | {"_core"}
    found = [f"{member}: has no rank" for member in sorted(members - RANKS.keys())]
    for file in known.values():
        for edge in imports_of(file, root):
            if edge.module.split(".")[0] == PACKAGE:
                found += _violation(edge, members)
    return found


def _violation(edge: Import, members: set[str]) -> list[str]:
    source = member_of(edge.importer, members)
    target = member_of(edge.target, members)
    place = f"{edge.importer}:{edge.line}"
    if target == "_core" and source != "ring":
        return [f"{place}: only {PACKAGE}.ring may import {CORE}"]
    if source == target:
        return _wrong_room(edge, ROOMS.get(source, ()))
    upward = RANKS.get(target, 0) > RANKS.get(source, 0)
    sideways = RANKS.get(target, 0) == RANKS.get(source, 0) > 0
    if upward or sideways:
        return [f"{place}: {source} may not import {target}"]
    return []


def _wrong_room(edge: Import, rooms: tuple[str, ...]) -> list[str]:
    source, target = edge.importer.split(".")[2:3], edge.target.split(".")[2:3]
    if not rooms or not source or not target or target[0] not in rooms:
        return []
    if source[0] in rooms and rooms.index(target[0]) <= rooms.index(source[0]):
        return []
    return [f"{edge.importer}:{edge.line}: {source[0]} may not import {target[0]}"]


def import_cycle(root: Path) -> list[str]:
    """Return the modules of one import cycle, empty if there is none."""
    known = modules(root, PACKAGE)
    graph: dict[str, set[str]] = {name: set() for name in known}
    for name, file in known.items():
        for edge in imports_of(file, root):
            target = edge.target if edge.target in known else edge.module
            if target in known and target != name:
                graph[name].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a root with a small package of four clean layers."""
    for member in ("model", "ring", "engine", "canvas"):
        folder = tmp_path / PACKAGE / member
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
    (tmp_path / PACKAGE / "__init__.py").write_text("from .engine import publish\n")
    (tmp_path / PACKAGE / "errors.py").write_text("from .model import state\n")
    core = "from stem_actor._core import ffi\nfrom .. import errors\n"
    (tmp_path / PACKAGE / "ring" / "arena.py").write_text(core)
    return tmp_path


def test_every_import_of_the_package_points_downwards() -> None:
    found = violations(ROOT)

    assert not found, "\n".join(found)


def test_the_package_has_no_import_cycle() -> None:
    assert import_cycle(ROOT) == []


def test_a_clean_package_has_no_violation(planted: Path) -> None:
    assert violations(planted) == []
    assert import_cycle(planted) == []


@pytest.mark.parametrize(
    ("member", "source", "finding"),
    [
        pytest.param("model", "from ..ring import arena", "ring", id="relative"),
        pytest.param("ring", "import stem_actor.engine", "engine", id="absolute"),
        pytest.param("ring", "from .. import engine", "engine", id="from the root"),
        pytest.param("ring", "from stem_actor import Stem", "__init__", id="facade"),
        pytest.param("engine", "from ..canvas import group", "canvas", id="one up"),
        pytest.param("canvas", "from .. import mystery", "__init__", id="unknown"),
        pytest.param(
            "model", "def f():\n    import stem_actor.ring", "ring", id="lazy"
        ),
        pytest.param(
            "model",
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from stem_actor.ring import arena",
            "ring",
            id="type checking",
        ),
        pytest.param(
            "model",
            "import importlib\nimportlib.import_module('stem_actor.ring')",
            "ring",
            id="dynamic",
        ),
    ],
)
def test_a_planted_climb_is_found(
    planted: Path, member: str, source: str, finding: str
) -> None:
    (planted / PACKAGE / member / "planted.py").write_text(source)

    found = violations(planted)

    assert [line.partition(": ")[2] for line in found] == [
        f"{member} may not import {finding}"
    ]


def test_a_planted_neighbour_is_found(planted: Path) -> None:
    (planted / PACKAGE / "schedule").mkdir()
    source = "from ..canvas import group\n"
    (planted / PACKAGE / "schedule" / "beat.py").write_text(source)

    assert violations(planted) == [
        "stem_actor.schedule.beat:1: schedule may not import canvas"
    ]


def test_a_planted_climb_from_room_to_room_is_found(planted: Path) -> None:
    for room in ROOMS["actor"]:
        folder = planted / PACKAGE / "actor" / room
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
    down, up = "from ..tree import birth\n", "from ..host import connection\n"
    (planted / PACKAGE / "actor" / "tree" / "birth.py").write_text("")
    (planted / PACKAGE / "actor" / "host" / "connection.py").write_text(down)
    (planted / PACKAGE / "actor" / "worker" / "worker.py").write_text(down + up)

    assert violations(planted) == [
        "stem_actor.actor.worker.worker:2: worker may not import host"
    ]


def test_a_planted_import_of_the_core_is_found(planted: Path) -> None:
    source = "from stem_actor import _core\n"
    (planted / PACKAGE / "engine" / "planted.py").write_text(source)

    assert violations(planted) == [
        f"stem_actor.engine.planted:1: only stem_actor.ring may import {CORE}"
    ]


def test_a_planted_member_without_a_rank_is_found(planted: Path) -> None:
    (planted / PACKAGE / "utils.py").write_text("")

    assert violations(planted) == ["utils: has no rank"]


def test_a_planted_cycle_inside_a_folder_is_found(planted: Path) -> None:
    (planted / PACKAGE / "model" / "a.py").write_text("from . import b\n")
    (planted / PACKAGE / "model" / "b.py").write_text(
        "def f():\n    from .a import x\n"
    )

    assert set(import_cycle(planted)) == {"stem_actor.model.a", "stem_actor.model.b"}
