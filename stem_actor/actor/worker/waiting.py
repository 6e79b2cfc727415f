"""Waiting: whether one task of an event loop waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

__all__ = ["waits_for"]


def waits_for(waiter: asyncio.Task[Any], task: asyncio.Task[Any]) -> bool:
    """
    Whether *waiter* waits for *task*, itself or through what asyncio puts in between:
    ``gather``, ``wait``, ``wait_for``, ``shield``, a ``TaskGroup``, other tasks.

    Told from who is called when *task* is done. What only serves the waiter, as the
    reader of a shared connection does through a queue or a future, is not waited for.
    """
    todo: list[object] = [task]
    seen: list[object] = []  # not a set: futures may be compared as they like
    while todo:
        found = todo.pop()
        if found is waiter:
            return True
        if any(found is it for it in seen):
            continue
        seen.append(found)
        if isinstance(found, asyncio.TaskGroup):
            todo.append(getattr(found, "_parent_task", None))
        elif asyncio.isfuture(found):
            for callback, _ in getattr(found, "_callbacks", None) or ():
                todo.extend(_held_by(callback))
    return False


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
