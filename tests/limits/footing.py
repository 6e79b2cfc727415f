"""The footing of a tree: what it holds at rest, to see that it comes back to it."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from stem_actor import StemApp
from tests.limits.conftest import eventually

_ZOMBIE = "zombie"


@dataclass(frozen=True)
class Footing:
    """
    Attributes:
        processes: Name of each process below the guardian, sorted; a zombie's is said.
        descriptors: Those that guardian, supervisor and host have open, in this order.
        files: Files of the ring, without the last words that its workers have left.
    """

    processes: tuple[str, ...]
    descriptors: tuple[int, int, int]
    files: frozenset[str]

    @classmethod
    def of(cls, app: StemApp) -> Footing:
        """Return the footing of the tree of *app* now."""
        pids = (guardian_of(app), supervisor_of(app), os.getpid())
        opened = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
        root = app.directory.path
        return cls(
            processes=tuple(sorted(_names_below(pids[0]))),
            descriptors=(opened[0], opened[1], opened[2]),
            files=frozenset(
                str(path.relative_to(root))
                for path in root.rglob("*")
                if path.suffix != ".stack"
            ),
        )


def at_rest(app: StemApp, workers: int = 3) -> Footing:
    """
    Return the footing of *app* once its workers and its spare zygote are there, the
    supervisor watches each of them, and the guardian has let go of what it handed over.
    """
    whole: list[str] = [f"stem-worker-{at}" for at in range(workers)] + [
        "stem-zygote"
    ] * 2
    found: list[Footing] = []

    def is_whole() -> bool:
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            found.append(Footing.of(app))
            # One more: the supervisor, by the name of its interpreter.
            names = [it for it in found[-1].processes if it.startswith("stem-")]
            has_none_dying = len(found[-1].processes) == len(whole) + 1
            is_still = found[-3:] == [found[-1]] * 3
            return names == whole and has_none_dying and is_still and _are_up(app)
        return False

    assert eventually(is_whole), found[-1]
    return found[-1]


def _are_up(app: StemApp) -> bool:
    return _watched_by(supervisor_of(app)) >= _workers_below(guardian_of(app))


def _watched_by(pid: int) -> set[int]:
    """Return the processes of which *pid* holds a pidfd."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir()]
    return {int(it) for text in texts for it in re.findall(r"^Pid:\t(\d+)", text, re.M)}


def _workers_below(pid: int) -> set[int]:
    below = psutil.Process(pid).children(recursive=True)
    return {it.pid for it in below if it.name().startswith("stem-worker")}


def returns_to(app: StemApp, before: Footing, timeout: float = 30.0) -> bool:
    """Return whether the tree of *app* comes back to the footing *before*."""
    seen = before

    def is_back() -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):  # a process ends while it is looked at
            seen = Footing.of(app)
            return seen == before
        return False

    if eventually(is_back, timeout):
        return True
    print(f"before: {before}\nnow:    {seen}")  # pytest shows it with the failure
    return False


def guardian_of(app: StemApp) -> int:
    """Return the pid of the guardian of *app*."""
    host = app._host
    assert host is not None
    assert host.guardian is not None
    return host.guardian.pid


def supervisor_of(app: StemApp) -> int:
    """Return the pid of the supervisor; waits while one is being replaced."""
    assert eventually(lambda: app.directory.owner() is not None)
    return app.directory.owner() or 0


def is_alive(pid: int) -> bool:
    """Return whether *pid* runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_gone(pids: list[int], timeout: float = 10.0) -> bool:
    """Return whether none of *pids* is there any more, not even as a zombie."""
    return eventually(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), timeout
    )


def _names_below(pid: int) -> list[str]:
    names = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            is_dead = process.status() == psutil.STATUS_ZOMBIE
            names.append(_ZOMBIE if is_dead else process.name())
    return names
