"""How the zygote comes by the user's code."""

from __future__ import annotations

import os
from enum import StrEnum

from stem_actor.actor.tree import hygiene


class StartMethod(StrEnum):
    """
    The ways to start.

    AUTO takes FORK where no thread of the host survives a fork, else IMPORT.
    """

    AUTO = "auto"
    FORK = "fork"  # the zygote is the host's image: closures and __main__ work
    IMPORT = "import"  # a new interpreter imports the handlers' modules once
    SPAWN = "spawn"  # a new interpreter forks bare; each worker imports for itself


def choose(wanted: StartMethod | str) -> StartMethod:
    """
    Return the method to use, never AUTO.

    Raises:
        ValueError: If *wanted* is no start method.
    """
    method = StartMethod(wanted)
    if method is not StartMethod.AUTO:
        return method
    return StartMethod.IMPORT if surviving_threads() else StartMethod.FORK


def surviving_threads() -> list[str]:
    """
    Return the names of threads that are still there after a probe fork.

    Pools that stop in a ``pthread_atfork`` handler (OpenBLAS does) stop for the probe
    and are no danger; any other thread may hold a lock that a child would inherit.
    """
    if not hygiene.thread_names():
        return []
    with hygiene.quiet_fork():
        hygiene.reap(hygiene.fork_into(lambda: os._exit(0)))
    return hygiene.thread_names()
