"""
Chaos: a seeded schedule of faults, carried out on one ring by a process of its own.

``python -m tests.fault.chaos RING --seed N --seconds T --faults worker,supervisor``
kills and stops, by pidfd and after a check that the victim belongs to that ring, and
prints what it did as one line of JSON. Whatever it stopped it also continues.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

import psutil

from stem_actor.errors import StemError
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.view import RingSample, RingView
from tests.fault.journal import start_time
from tests.fault.traces import Kill, Process

__all__ = ["FAULTS", "Chaos", "Fault", "Tree", "schedule"]

_PATIENCE_S: Final = 20.0
_LOOK_S: Final = 0.002
_STOP: Final = "stop"
#: Whose death is that of the whole crew.
_FELLERS: Final = frozenset({"supervisor", "guardian"})


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault.

    Attributes:
        kind: A key of ``FAULTS``.
        after_s: Seconds since the fault before it.
        die: In [0, 1): which victim, and how long it is stopped.
    """

    kind: str
    after_s: float
    die: float


def schedule(seed: int, kinds: tuple[str, ...], seconds: float) -> list[Fault]:
    """
    Return the faults of *seed*: each kind at least once, then at random.

    Args:
        seed: The same one gives the same schedule.
        kinds: What may happen; repeat a kind to make it more likely.
        seconds: How long, the time that the faults themselves take not counted.
    """
    rng = Random(seed)
    pending = list(dict.fromkeys(kinds))
    rng.shuffle(pending)
    found: list[Fault] = []
    left = seconds
    while left > 0 or pending:
        kind = pending.pop() if pending else rng.choice(kinds)
        after_s = rng.uniform(0.0, 0.3)
        found.append(Fault(kind, after_s, rng.random()))
        left -= after_s
    return found


class Tree:
    """The processes of one ring, found without asking any of them."""

    def __init__(self, directory: RingDirectory) -> None:
        self._directory = directory

    def supervisor(self) -> int | None:
        """The supervisor's pid; None while there is none."""
        return self._directory.owner() or None

    def guardian(self) -> int | None:
        """The parent of the supervisor, if it is a guardian."""
        pid = self.supervisor()
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid).parent() if pid else None
            if parent is not None and parent.name() == "stem-guardian":
                return parent.pid
        return None

    def workers(self) -> list[int]:
        """The pids in the worker rows, the spare's included."""
        sample = self.sample()
        return [row.pid for row in sample.workers if row.pid] if sample else []

    def sample(self) -> RingSample | None:
        """One look at the ring; None while there is none."""
        try:
            view = RingView(self._directory)
        except StemError:  # not there yet
            return None
        try:
            return view.sample()
        finally:
            view.close()

    def zygotes(self) -> list[int]:
        """The guardian's other children: the zygote and its spare."""
        guardian = self.guardian()
        if guardian is None:
            return []
        known = {self.supervisor(), *self.workers()}
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(guardian).children()
            return [child.pid for child in children if child.pid not in known]
        return []

    def signal(self, pid: int | None, number: int) -> bool:
        """Send *number* to *pid*, if it is a guardian of ours or a child of one."""
        if not pid:
            return False
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            names = (psutil.Process(pid).name(), psutil.Process(pid).parent())
            parent = names[1].name() if names[1] is not None else ""
            if "stem-guardian" not in (names[0], parent):
                return False
            signal.pidfd_send_signal(pidfd, number)
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False
        finally:
            os.close(pidfd)
        return True


class Chaos:
    """
    Carries out faults.

    Attributes:
        done: How many of each kind hit somebody.
        losses: Workers that these faults can have cost.
        kills: Whom they killed, and who died of it.
    """

    def __init__(self, tree: Tree, *, hold_max_s: float = 0.4) -> None:
        self._tree = tree
        self._hold_max_s = hold_max_s
        self.done: Counter[str] = Counter()
        self.losses = 0
        self.kills: list[Kill] = []

    def run(self, faults: list[Fault]) -> None:
        for fault in faults:
            _rest(fault.after_s)
            if FAULTS[fault.kind](self, fault.die):
                self.done[fault.kind] += 1

    def worker(self, die: float) -> bool:
        """Kill a worker, perhaps the spare."""
        self.losses += 1
        return self._strike("worker", self._tree.workers, die) is not None

    def supervisor(self, die: float) -> bool:
        """Kill the supervisor; the fence then kills every worker."""
        pid = self._await_supervisor(None)
        self.losses += max(1, len(self._tree.workers()))
        return self._kill("supervisor", pid)

    def supervisor_again(self, die: float) -> bool:
        """Kill it, and the next two again up to 100 ms after they took the lock."""
        hit = False
        before = None
        for turn in range(3):
            pid = self._await_supervisor(before)
            if turn:
                _rest(die * turn / 2 * 0.1)
            self.losses += max(1, len(self._tree.workers()))
            hit = self._kill("supervisor", pid) or hit
            before = pid
        return hit

    def both(self, die: float) -> bool:
        """Kill a worker and the supervisor at once."""
        worker = self.worker(die)
        return self.supervisor(die) and worker

    def zygote(self, die: float) -> bool:
        """Kill the zygote or its spare."""
        # A newborn worker that is in no row yet looks like one.
        self.losses += 1
        return self._strike("zygote", self._tree.zygotes, die) is not None

    def guardian(self, die: float) -> bool:
        """Kill the guardian, which takes its children along; the host revives it."""
        before = self._await_supervisor(None)
        self.losses += max(1, len(self._tree.workers()))
        hit = self._kill("guardian", self._tree.guardian())
        if hit:
            self._await_supervisor(before)
        return hit

    def stop_worker(self, die: float) -> bool:
        """Stop a worker for a while."""
        return self._hold(self._tree.workers, die)

    def stop_supervisor(self, die: float) -> bool:
        """Stop the supervisor for a while."""
        return self._hold(lambda: [self._await_supervisor(None)], die)

    # --- inside

    def _strike(
        self, kind: str, find: Callable[[], list[int]], die: float
    ) -> int | None:
        """Hit one of *find*; while the crew is being replaced, try again."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            pids = find()
            pid = pids[int(die * len(pids))] if pids else None
            if self._hit(kind, pid):
                return pid
            _rest(_LOOK_S)
        return None

    def _hit(self, kind: str, pid: int | None) -> bool:
        if kind == _STOP:
            return self._tree.signal(pid, signal.SIGSTOP)
        return self._kill(kind, pid)

    def _kill(self, kind: str, pid: int | None) -> bool:
        """Kill *pid*, and write down who dies of it."""
        if pid is None:
            return False
        victim = (pid, start_time(pid) or 0)
        sample = self._tree.sample() if kind in _FELLERS else None
        crew = [row.pid for row in sample.workers if row.pid] if sample else []
        if kind == "worker":
            crew = [pid]
        workers = tuple((it, start_time(it) or 0) for it in crew)
        at_ns = time.monotonic_ns()
        if not self._tree.signal(pid, signal.SIGKILL):
            return False
        begun = sample.supervisor if sample else 0
        if kind == "supervisor" and begun != pid:
            begun = 0  # it had the lock, but not yet an epoch
        alive: tuple[Process, ...] = tuple(it for it in workers if it[1])
        self.kills.append(Kill(kind, victim, at_ns, alive, begun))
        return True

    def _hold(self, find: Callable[[], list[int]], die: float) -> bool:
        pid = self._strike(_STOP, find, die)
        try:
            _rest(0.1 + die * (self._hold_max_s - 0.1))
        finally:
            self._tree.signal(pid, signal.SIGCONT)
        return pid is not None

    def _await_supervisor(self, before: int | None) -> int:
        """The supervisor that has the lock, another one than *before*."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            pid = self._tree.supervisor()
            if pid and pid != before:
                return pid
            _rest(_LOOK_S)
        raise TimeoutError(f"no supervisor within {_PATIENCE_S:g} s")


FAULTS: Final[dict[str, Callable[[Chaos, float], bool]]] = {
    "worker": Chaos.worker,
    "supervisor": Chaos.supervisor,
    "supervisor_again": Chaos.supervisor_again,
    "both": Chaos.both,
    "zygote": Chaos.zygote,
    "guardian": Chaos.guardian,
    "stop_worker": Chaos.stop_worker,
    "stop_supervisor": Chaos.stop_supervisor,
}


def _rest(seconds: float) -> None:
    """Pass time; what is waited for here is nothing but the schedule."""
    threading.Event().wait(seconds)


def main() -> int:
    """Run the schedule; print its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ring", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--faults", required=True)
    parser.add_argument("--hold", type=float, default=0.4)
    options = parser.parse_args()
    tree = Tree(RingDirectory(options.ring, is_anonymous=False))
    chaos = Chaos(tree, hold_max_s=options.hold)
    chaos.run(schedule(options.seed, tuple(options.faults.split(",")), options.seconds))
    kills = [asdict(kill) for kill in chaos.kills]
    print(json.dumps({"losses": chaos.losses, "done": chaos.done, "kills": kills}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
