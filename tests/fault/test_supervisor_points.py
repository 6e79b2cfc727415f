"""
A real supervisor, killed at numbered points of the core while tasks run.

The supervisor's command is wrapped: it loads the crash-point build and dies at the
hit that a page shared with the test names. Host and workers are the ordinary ones.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from stem_actor.actor import host
from tests.fault.conftest import IS_LONG, SEEDS, Place
from tests.fault.soak import ROOT, wait_until

#: Where ``make crashpoints`` puts it.
BUILT: Final = Path(
    os.environ.get("STEM_ACTOR_CRASHPOINTS", ROOT / "build/crashpoints")
)
KILLS: Final = 200 if IS_LONG else 12
_WORDS: Final = struct.Struct("=II")
_BOOT: Final = """
import mmap, sys
sys.path[:0] = {path!r}
from stem_actor.ring.native import ffi, lib
if not lib.sa_crash_built():
    sys.exit("this build has no crash points")
with open({page!r}, "r+b") as file:
    page = mmap.mmap(file.fileno(), 4096)
words = ffi.from_buffer(page)
lib.sa_crash_arm(words)
from stem_actor.actor.supervisor import main
main()
"""


class CrashPage:
    """The shared page: how many points were passed, and at which one dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(4096))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 4096)

    @property
    def hits(self) -> int:
        return int(_WORDS.unpack_from(self._map)[0])

    @property
    def is_over(self) -> bool:
        """Whether the point that was armed has been passed."""
        hits, armed = _WORDS.unpack_from(self._map)
        return bool(hits >= armed)

    def arm(self, ahead: int) -> None:
        """Have the process die *ahead* points from here."""
        struct.pack_into("=I", self._map, 4, self.hits + ahead)

    def close(self) -> None:
        self._map.close()


@pytest.fixture
def page(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[CrashPage]:
    """Supervisors of this test die at its points."""
    if not any(BUILT.glob("stem_actor/_core*.so")):
        pytest.skip("the crash-point build is missing: make crashpoints")
    shared = CrashPage(place.root / "crash.page")

    def argv(directory: Path) -> tuple[str, ...]:
        path = [str(BUILT), *(entry for entry in sys.path if entry)]
        boot = _BOOT.format(path=path, page=str(shared.path))
        return (sys.executable, "-I", "-c", boot, str(directory))

    monkeypatch.setattr(host, "supervisor_argv", argv)
    yield shared
    shared.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_supervisor_killed_at_any_point_loses_and_doubles_nothing(
    place: Place, page: CrashPage, seed: int
) -> None:
    rng = Random(seed)
    app = place.app(slots=8192 if IS_LONG else 4096)
    with app:
        soak = place.soak(app, seed)
        for _ in range(KILLS):
            page.arm(rng.randrange(1, 80))
            handles = []
            while not page.is_over:
                handles += soak.submit(5)
                wait_until(lambda: page.is_over, 0.05)
            if rng.random() < 0.5:
                page.arm(rng.randrange(1, 40))  # inside the recovery from it
            soak.report.losses += 6
            for handle in handles:
                handle.wait(20)

        soak.drain()
        assert soak.audit() == []
        assert app.stats()["epoch"] > KILLS
