"""What every fault test has: a place of its own, and a look at what is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from stem_actor import StemApp
from tests.fault import crashpoints
from tests.fault.chaos import Tree
from tests.fault.evidence import names_in, open_files, zombies
from tests.fault.jobs import make_app
from tests.fault.soak import Soak, wait_until

#: ``make fault`` runs for minutes, and over many seeds.
IS_LONG: Final = os.environ.get("STEM_ACTOR_FAULT") == "long"
SEEDS: Final = tuple(range(1, 9)) if IS_LONG else (1,)
SECONDS: Final = 10.0 if IS_LONG else 1.0
TASKS: Final = 1800 if IS_LONG else 500


@dataclass(frozen=True)
class Place:
    """A folder for rings and one for journals."""

    root: Path
    journal: Path

    @property
    def ring(self) -> Path:
        """Where a named ring of this test lies."""
        return self.root / "named"

    def app(self, broker: str = "ring://", **settings: Any) -> StemApp:
        return make_app(broker, self.root, **settings)

    def named(self, **settings: Any) -> StemApp:
        """An app on the named ring."""
        return self.app(f"ring://{self.ring}", **settings)

    def soak(self, app: StemApp, seed: int, **options: Any) -> Soak:
        return Soak(app, self.journal, Random(seed), **options)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """I6, as far as the host is concerned: descriptors, and files of gone rings."""
    root, journal = tmp_path / "rings", tmp_path / "journal"
    root.mkdir(mode=0o700)
    journal.mkdir()
    before = open_files()
    yield Place(root, journal)
    assert open_files() == before, "the host has other files open than before"
    assert [path.name for path in root.iterdir() if "anon" in path.name] == []


@pytest.fixture(scope="session")
def built() -> Path:
    """The crash-point build; made if it is missing or stale."""
    problem = crashpoints.ensure_built()
    if problem:
        pytest.skip(problem)
    return crashpoints.BUILT


@dataclass(frozen=True)
class Footprint:
    """I6 inside a tree: its files and processes, the supervisor's descriptors."""

    names: dict[str, int]
    workers: int
    zygotes: int
    supervisor_fds: dict[str, int]

    @classmethod
    def of(cls, app: StemApp) -> Footprint | None:
        """Look once; None while something is being replaced."""
        tree = Tree(app.directory)
        supervisor, guardian = tree.supervisor(), tree.guardian()
        if supervisor is None or guardian is None or zombies(guardian):
            return None
        # First the crew, then what its supervisor holds for each of them.
        workers, zygotes = len(tree.workers()), len(tree.zygotes())
        try:
            fds = dict(open_files(supervisor))
        except FileNotFoundError:
            return None
        return cls(dict(names_in(app.directory)), workers, zygotes, fds)

    @classmethod
    def settled(cls, app: StemApp) -> Footprint:
        """Look when the whole crew is there: two workers, a spare and two zygotes."""
        found: list[Footprint] = []

        def is_whole() -> bool:
            seen = cls.of(app)
            # A newborn that is in no row yet counts among the zygotes.
            found[:] = [seen] if seen and (seen.workers, seen.zygotes) == (3, 2) else []
            return bool(found)

        assert wait_until(is_whole, 20), cls.of(app)
        return found[0]

    def is_that_of(self, app: StemApp) -> bool:
        """Whether *app* has this footprint (again)."""
        return Footprint.of(app) == self
