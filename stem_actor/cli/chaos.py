"""Chaos: kills the processes of an app while it works."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Final

from stem_actor.errors import StemError

__all__ = ["Chaos"]

_EVERY_S: Final = 0.15
_SUPERVISOR_AT: Final = 0.5
_END_AT: Final = 0.95


class Chaos:
    """
    A thread that kills with SIGKILL while its block runs.

    Every 150 ms a random worker, if anything was finished since the last one; once,
    when half of the work is done, the supervisor. It leaves the last twentieth alone.
    So the run ends however slow the machine is: where a task takes longer than the
    workers live, killing on would be a way to stop all work, not a test of recovery.

    Args:
        workers: Returns the pids of the workers that live now.
        supervisor: Returns the pid of the supervisor, None while there is none.
        done: Returns how much of the work is done, 0 to 1.
        rng: Chooses the victims.

    Attributes:
        worker_kills: Workers killed so far.
        supervisor_kills: 0 or 1.
    """

    def __init__(
        self,
        *,
        workers: Callable[[], list[int]],
        supervisor: Callable[[], int | None],
        done: Callable[[], float],
        rng: Random,
    ) -> None:
        self._workers = workers
        self._supervisor = supervisor
        self._done = done
        self._rng = rng
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="stem-chaos", daemon=True
        )
        self._seen: frozenset[int] = frozenset()
        self._done_at_kill = -1.0
        self.worker_kills = 0
        self.supervisor_kills = 0

    def __enter__(self) -> Chaos:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    # --- inside

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            done = self._done()
            if done >= _SUPERVISOR_AT and not self.supervisor_kills:
                self.supervisor_kills += self._kill(self._supervisor())
            elif self._done_at_kill < done < _END_AT:
                kills = self._kill(self._victim())
                self.worker_kills += kills
                if kills:
                    self._done_at_kill = done

    def _victim(self) -> int | None:
        """
        Return a worker that was there the last time too.

        One that is killed before it has started anything counts as one that cannot
        live, and after a few of those the supervisor pauses the pool.
        """
        pids: list[int] = []
        with suppress(StemError):  # the supervisor is just being replaced
            pids = self._workers()
        before, self._seen = self._seen, frozenset(pids)
        settled = [pid for pid in pids if pid in before]
        return self._rng.choice(settled) if settled else None

    @staticmethod
    def _kill(pid: int | None) -> int:
        """Kill *pid*; returns how many processes that were, 0 or 1."""
        if not pid:
            return 0
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return 0
        return 1
