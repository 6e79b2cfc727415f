"""One tree per test, gone after it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.script import MAIN, Script
from tests.process.tree import Tree


@pytest.fixture
def root() -> Iterator[Path]:
    """Return a directory with a path short enough for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="stem-") as name:
        yield Path(name)


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    """Return a tree that is not launched yet."""
    made = Tree(root)
    yield made
    made.close()


@pytest.fixture
def plant(root: Path) -> Iterator[Callable[..., Tree]]:
    """Return a maker of trees with settings of their own."""
    made: list[Tree] = []

    def plant(**settings: Any) -> Tree:
        place = root / str(len(made))
        place.mkdir()
        made.append(Tree(place, **settings))
        return made[-1]

    yield plant
    for tree in made:
        tree.close()


@pytest.fixture
def host(root: Path, tree: Tree) -> Iterator[Callable[..., Script]]:
    """Return a starter of host scripts, whose sockets are those of ``tree``."""
    started: list[Script] = []

    def host(text: str = MAIN, *arguments: str) -> Script:
        started.append(Script(root, text).start(*arguments))
        return started[-1]

    yield host
    for script in started:
        script.close()


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return ``shim.c`` as a library to preload into the guardian."""
    return compiled(tmp_path_factory, "shim.c", "-ldl")


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return ``pool.c`` as a library: a thread that stops for every fork."""
    return compiled(tmp_path_factory, "pool.c", "-pthread")


def compiled(factory: pytest.TempPathFactory, source: str, *flags: str) -> Path:
    """Return the shared library made of *source*."""
    library = factory.mktemp("lib") / f"{source}.so"
    here = Path(__file__).with_name(source)
    command = ["cc", "-shared", "-fPIC", "-Wall", "-o", str(library), str(here), *flags]
    subprocess.run(command, check=True)
    return library
