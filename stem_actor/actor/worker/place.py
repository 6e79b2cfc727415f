"""Place: which code an interruption has struck, told from the frames."""

from __future__ import annotations

import sysconfig
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Final

__all__ = ["Place", "place_of"]

_PACKAGE: Final = str(Path(__file__).resolve().parents[2]) + "/"
#: Handlers of our own live in these: they are interrupted like any other.
_USERS: Final = (f"{_PACKAGE}cli/", f"{_PACKAGE}testing/")
#: What these have called is theirs to finish: msgspec drops an exception that a
#: property raises, and the field with it.
_RUNNER: Final = f"{_PACKAGE}tasks/runner.py"
_PAYLOAD: Final = (
    f"{_PACKAGE}payload/",
    f"{_PACKAGE}model/raising.py",
    _RUNNER,  # what reads arguments and writes results; ``_RUNS`` are known before
)
_RUNS: Final = frozenset({"run", "run_with_context"})
_STDLIB: Final = sysconfig.get_path("stdlib") + "/"
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")


class Place(Enum):
    """Where an interruption has struck."""

    #: In the handler, or in what it has called that is not ours.
    HANDLER = "handler"
    #: In this library, called by the handler: not there, an exception could tear it.
    LIBRARY = "library"
    #: Before the handler has begun, or after it has returned.
    OUTSIDE = "outside"


def place_of(frame: FrameType | None, *, is_owned: bool = False) -> Place:
    """
    Return the place of *frame*, the innermost one.

    Frames of the standard library and of generated code belong to whoever called
    them, so the first other one decides; but the user's code that reads arguments or
    writes results is a part of reading and writing. This costs nothing until a limit
    strikes; marks on entering and leaving the handler would cost every start.

    Args:
        frame: The frame that was interrupted.
        is_owned: Whether it is known already that the handler's code runs, as for a
            coroutine that the handler has started: the runner is not below it.
    """
    is_inner = False
    while frame is not None and _is_neutral(frame.f_code.co_filename):
        is_inner = True
        frame = frame.f_back
    if frame is None:
        return Place.HANDLER if is_owned else Place.OUTSIDE
    if _is_run(frame):
        # Straight in the runner: the handler has no frame, not yet or not any more.
        return Place.HANDLER if is_inner else Place.OUTSIDE
    is_library = _is_ours(frame.f_code.co_filename)
    below: FrameType | None = frame
    while below is not None and not _is_run(below):
        is_library |= below.f_code.co_filename.startswith(_PAYLOAD)
        below = below.f_back
    if below is None and not is_owned:
        return Place.OUTSIDE
    return Place.LIBRARY if is_library else Place.HANDLER


def _is_neutral(path: str) -> bool:
    if path.startswith("<"):
        return True
    return path.startswith(_STDLIB) and not any(it in path for it in _INSTALLED)


def _is_ours(path: str) -> bool:
    return path.startswith(_PACKAGE) and not path.startswith(_USERS)


def _is_run(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name in _RUNS and code.co_filename == _RUNNER
