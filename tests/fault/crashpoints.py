"""
The crash-point build of the package, and the page by which its processes are killed.

``make crashpoints`` makes the build; a bare pytest makes it too, when it is missing or
older than its sources.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["BUILT", "ROOT", "CrashPage", "armed_supervisor", "ensure_built", "path"]

ROOT: Final = Path(__file__).resolve().parents[2]
#: Where ``make crashpoints`` puts it.
BUILT: Final = Path(
    os.environ.get("STEM_ACTOR_CRASHPOINTS", ROOT / "build/crashpoints")
)
_NATIVE: Final = BUILT.with_name(BUILT.name + ".native")
_WORDS: Final = struct.Struct("=II32s")
_PAGE: Final = 4096
_BUILD_S: Final = 300.0
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
from stem_actor.actor.supervisor.supervisor import main
main()
"""


class CrashPage:
    """
    The shared page: how many points were passed, and at which one dies.

    Every process that is armed with it counts in the same number, so that exactly one
    of them dies. No process may pass points while the test arms the page, or the
    count that it starts from is not the one that it meant.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(bytes(_PAGE))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _PAGE)

    @property
    def hits(self) -> int:
        return int(_WORDS.unpack_from(self._map)[0])

    @property
    def is_over(self) -> bool:
        """Whether the point that was armed has been passed."""
        hits, armed, _ = _WORDS.unpack_from(self._map)
        return bool(hits >= armed)

    @property
    def victim(self) -> str:
        """Name of the point at which a process has died since ``arm``, or empty."""
        name: bytes = _WORDS.unpack_from(self._map)[2]
        return name.partition(b"\0")[0].decode()

    def arm(self, ahead: int) -> None:
        """Have the process die *ahead* points from here."""
        struct.pack_into("=32s", self._map, 8, b"")
        struct.pack_into("=I", self._map, 4, self.hits + ahead)

    def disarm(self) -> None:
        """Let nobody die any more."""
        struct.pack_into("=I", self._map, 4, 0)

    def enter(self) -> None:
        """Arm this process, which has to run the crash-point build, with this page."""
        from stem_actor.ring.native import ffi, lib

        if not lib.sa_crash_built():
            raise RuntimeError("this build has no crash points")
        self._words = ffi.from_buffer(self._map)
        lib.sa_crash_arm(self._words)

    def close(self) -> None:
        self._map.close()


def armed_supervisor(page: Path) -> Callable[[Path, str], tuple[str, ...]]:
    """Return what makes the command of a supervisor that dies at points of *page*."""

    def argv(directory: Path, python: str) -> tuple[str, ...]:
        folders = [str(BUILT), *(entry for entry in sys.path if entry)]
        boot = _BOOT.format(path=folders, page=str(page))
        return (python, "-I", "-c", boot, str(directory))

    return argv


def path() -> str:
    """Return the PYTHONPATH of a process that is to run the crash-point build."""
    return os.pathsep.join((str(BUILT), str(ROOT)))


def ensure_built() -> str:
    """
    Make the build unless it is there and newer than its sources.

    Returns:
        Why there is none, with the command that makes one; empty if it is there.
    """
    if "STEM_ACTOR_CRASHPOINTS" in os.environ:  # whoever names one keeps it fresh
        return "" if _extension() else f"no crash-point build in {BUILT}"
    BUILT.parent.mkdir(exist_ok=True)
    with open(BUILT.parent / "crashpoints.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another pytest may be at it
        if not _is_fresh():
            try:
                _build()
            except (OSError, subprocess.SubprocessError) as error:
                return f"the crash-point build failed ({error}): make crashpoints"
    return ""


def _extension() -> Path | None:
    return next(BUILT.glob("stem_actor/_core*.so"), None)


def _is_fresh() -> bool:
    """As ``make`` sees it: by the times of sources and stamps."""
    stamp = BUILT / "built"
    if _extension() is None or not stamp.exists():
        return False
    made = stamp.stat().st_mtime_ns
    return all(it.stat().st_mtime_ns <= made for it in [*_native(), *_python()])


def _native() -> list[Path]:
    return [ROOT / "setup.py", *(ROOT / "native").iterdir()]


def _python() -> list[Path]:
    return list((ROOT / "stem_actor").rglob("*.py"))


def _build() -> None:
    """What the Makefile does: compile when native sources change, copy otherwise."""
    stamp = _NATIVE / "built"
    newest = max(it.stat().st_mtime_ns for it in _native())
    if not stamp.exists() or stamp.stat().st_mtime_ns < newest:
        subprocess.run(
            [
                *(sys.executable, "setup.py", "--quiet", "build_ext"),
                *("--build-lib", str(_NATIVE)),
                *("--build-temp", str(_NATIVE / "objects")),
            ],
            env={**os.environ, "STEM_ACTOR_BUILD": "crashpoints"},
            cwd=ROOT,
            capture_output=True,
            timeout=_BUILD_S,
            check=True,
        )
        stamp.touch()
    shutil.rmtree(BUILT, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "stem_actor", BUILT / "stem_actor", ignore=ignored)
    shutil.copytree(_NATIVE / "stem_actor", BUILT / "stem_actor", dirs_exist_ok=True)
    (BUILT / "built").touch()
