"""The soft limit inside a worker: from a signal to an exception in the handler."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from stem_actor.actor.limits import SOFT_SIGNAL
from stem_actor.actor.runtime import WorkerRuntime
from stem_actor.errors import SoftTimeLimitExceeded
from stem_actor.ring.mailbox import Mailbox

__all__ = ["SoftLimit", "is_in_handler"]

_PACKAGE: Final = str(Path(__file__).resolve().parent.parent) + "/"


class SoftLimit:
    """
    Installed once in each worker; knows which start is running in the main thread.

    The C handler has dropped signals of starts that are over. What comes through
    raises in the handler, and only there: between two tasks, and while the library
    decodes arguments or packs a result, it is ignored, for the handler has not
    begun or has ended.
    """

    def __init__(self, mailbox: Mailbox, wake_fd: int) -> None:
        self._mailbox = mailbox
        self.current: WorkerRuntime | None = None
        #: Async workers interrupt a coroutine instead: given the cell.
        self.interrupt: Callable[[int], None] | None = None
        signal.signal(SOFT_SIGNAL, self._on_signal)
        mailbox.open_soft(SOFT_SIGNAL, wake_fd)

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        cell = self._mailbox.take_soft()
        if cell is None:
            return
        runtime = self.current
        if runtime is None:
            if self.interrupt is not None:
                self.interrupt(cell)
            return
        runtime.mark_soft()
        if is_in_handler(frame):
            runtime.was_interrupted = True
            raise SoftTimeLimitExceeded


def is_in_handler(frame: FrameType | None) -> bool:
    """
    Whether user code is on the stack above the library's runner.

    Library code that the handler has called counts as the handler: each crossing
    into C is whole, so an exception between two of them tears nothing.
    """
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return True
        if frame.f_code.co_filename.endswith("/tasks/runner.py"):
            return False
        frame = frame.f_back
    return False
