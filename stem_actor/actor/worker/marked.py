"""Marked: a coroutine that says in shared memory when it runs."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any

from stem_actor.ring.mailbox import Mailbox

__all__ = ["Marked"]


class Marked(Coroutine[Any, Any, None]):
    """
    Wraps one task's coroutine. Each of its steps is marked with the task's cell, so
    that after a crash of the process the supervisor knows which of the coroutines
    was running: that one has crashed, the others were only there.
    """

    def __init__(
        self, inner: Coroutine[Any, Any, None], mailbox: Mailbox, cell: int
    ) -> None:
        self._inner = inner
        self._mark = mailbox.mark
        self._cell = cell

    def send(self, value: Any) -> Any:
        self._mark(self._cell)
        try:
            return self._inner.send(value)
        finally:
            self._mark(None)

    def throw(
        self,
        kind: Any,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> Any:
        self._mark(self._cell)
        try:
            if value is None and trace is None:
                return self._inner.throw(kind)
            return self._inner.throw(kind, value, trace)
        finally:
            self._mark(None)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._inner.__await__()
