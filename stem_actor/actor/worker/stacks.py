"""Stacks: where every thread of this process is, as text."""

from __future__ import annotations

import sys
import threading
import traceback
from types import FrameType
from typing import Final

__all__ = ["STACKS_BYTES", "stacks_of_all_threads"]

STACKS_BYTES: Final = 8 * 1024
_FRAMES: Final = 40


def stacks_of_all_threads(frame: FrameType | None) -> str:
    """
    Return the stacks of all threads, the calling one first, as of *frame*.

    Taken by Python, at most 8 KiB: ``faulthandler`` in a process that is to live on
    has crashed it (process rules §6). The source is not read, only file and line, so
    that a slow file system cannot delay what follows.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    frames = sys._current_frames()
    parts = [_text("MainThread", frame)]
    for ident, top in frames.items():
        if ident != own:
            parts.append(_text(names.get(ident, f"thread {ident}"), top))
    text = "\n".join(parts)
    raw = text.encode("utf-8", "backslashreplace")
    return raw[:STACKS_BYTES].decode("utf-8", "ignore")


def _text(name: str, frame: FrameType | None) -> str:
    lines = [f"{name} (most recent call first):"]
    for number, (at, line) in enumerate(traceback.walk_stack(frame)):
        if number == _FRAMES:
            lines.append("  ...")
            break
        code = at.f_code
        lines.append(f'  File "{code.co_filename}", line {line} in {code.co_name}')
    return "\n".join(lines)
