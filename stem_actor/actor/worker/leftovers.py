"""Leftovers: threads that a task has begun and not ended."""

from __future__ import annotations

import threading
from concurrent.futures import thread as executors

__all__ = ["leftover_threads"]

_NAMES_MAX = 16


def leftover_threads() -> tuple[str, ...]:
    """
    Return the names of the non-daemon threads beside the main one; at most 16.

    Threads of a ``ThreadPoolExecutor`` are not among them: an executor that a module
    keeps is meant to outlive a task, and so are daemon threads.
    """
    pooled = set(executors._threads_queues)
    names = [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
        and not thread.daemon
        and thread not in pooled
        and thread.is_alive()
    ]
    return tuple(names[:_NAMES_MAX])
