"""Waiting: which tasks of an event loop wait for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

__all__ = ["waiters_of"]


def waiters_of(task: asyncio.Task[Any]) -> Iterator[asyncio.Task[Any]]:
    """
    Yield the tasks that wait for *task*, themselves or through what asyncio puts in
    between: ``gather``, ``wait``, ``wait_for``, ``shield``, a ``TaskGroup``, tasks.

    Told from who is called when *task* is done. Whom it only serves, as the reader of
    a shared connection does through a queue or a future, does not wait for it.
    """
    todo: list[object] = [task]
    seen: list[object] = []  # not a set: futures may be compared as they like
    while todo:
        found = todo.pop()
        if any(found is it for it in seen):
            continue
        seen.append(found)
        if isinstance(found, asyncio.TaskGroup):
            todo.append(getattr(found, "_parent_task", None))
        elif asyncio.isfuture(found):
            if isinstance(found, asyncio.Task) and found is not task:
                yield found
            for callback, _ in getattr(found, "_callbacks", None) or ():
                todo.extend(_held_by(callback))


def _held_by(callback: Callable[..., object]) -> Iterator[object]:
    """Yield what *callback* may tell: its object, its arguments, its cells."""
    yield getattr(callback, "__self__", None)
    if isinstance(callback, partial):
        yield from callback.args
    for cell in getattr(callback, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue
