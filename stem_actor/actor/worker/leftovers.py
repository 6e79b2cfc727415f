"""Leftovers: threads and processes that a task has begun and not ended."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import thread as executors
from typing import Any, Final, NamedTuple

from stem_actor.actor.tree.processes import children_of, name_of, state_of

__all__ = ["Census", "Leftovers"]

_NAMES_MAX: Final = 16


class Leftovers(NamedTuple):
    """
    What was left.

    Attributes:
        threads: Names of threads, at most 16.
        processes: ``"name (pid)"`` of children of the worker, at most 16.
        must_end: Whether the worker has to be replaced for them to end.
    """

    threads: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    must_end: bool = False


class Census:
    """
    What runs in this process beside its main thread, to see what is new.

    Daemon threads, threads of executors and the processes that ``multiprocessing`` or
    a ``ProcessPoolExecutor`` keeps are meant to outlive a task:
    a worker does not end for them. Such processes are not named either, as they do not
    end with the task.
    """

    def __init__(self) -> None:
        """What is there now may stay."""
        self._threads = {it.ident for it in threading.enumerate()}
        self._children = set(children_of(os.getpid())) if _has_children() else set()

    def look(self, *, is_brief: bool) -> Leftovers:
        """
        Return what has come since the last look, and still runs.

        Args:
            is_brief: Whether to leave processes out where some were there before:
                then it takes longer to tell old from new.
        """
        threads, is_lasting = self._new_threads()
        processes: tuple[str, ...] = ()
        if not (is_brief and self._children) and _has_children():
            processes = self._new_processes()
        return Leftovers(threads, processes, is_lasting or bool(processes))

    def _new_threads(self) -> tuple[tuple[str, ...], bool]:
        """Return their names, and whether one of them would never end by itself."""
        running = threading.enumerate()
        new = [it for it in running if it.ident not in self._threads]
        self._threads = {it.ident for it in running}
        # A dummy is a thread of C that has called Python: nobody's in particular.
        new = [it for it in new if not isinstance(it, threading._DummyThread)]
        pooled = {*executors._threads_queues, *_keepers()}
        is_lasting = any(not it.daemon and it not in pooled for it in new)
        return tuple(it.name for it in new[:_NAMES_MAX]), is_lasting

    def _new_processes(self) -> tuple[str, ...]:
        running = set(children_of(os.getpid()))
        new = running - self._children - set(_kept())
        self._children = running
        alive = [pid for pid in sorted(new) if state_of(pid) not in "ZX?"]
        return tuple(f"{name_of(pid)} ({pid})" for pid in alive[:_NAMES_MAX])


def _has_children() -> bool:
    """Whether there is any child, even one that has ended; one system call."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _kept() -> Iterator[int]:
    """Yield the processes that modules which are in use keep for later."""
    if (of_ours := sys.modules.get("multiprocessing.process")) is not None:
        for process in list(of_ours._children):
            if process.daemon and process.pid is not None:
                yield process.pid
    if (tracking := sys.modules.get("multiprocessing.resource_tracker")) is not None:
        yield tracking._resource_tracker._pid or 0
    if (forking := sys.modules.get("multiprocessing.forkserver")) is not None:
        yield forking._forkserver._forkserver_pid or 0
    for keeper in _keepers():
        yield from list(keeper.processes)


def _keepers() -> list[Any]:
    """Return the threads of ``ProcessPoolExecutor``s; each knows its processes."""
    pools = sys.modules.get("concurrent.futures.process")
    return [] if pools is None else list(pools._threads_wakeups)
