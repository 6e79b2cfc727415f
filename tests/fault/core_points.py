"""
Kill each role of the core at each crash point, and audit what is left.

``python -m tests.fault.core_points [--seconds N]``, with the crash-point build of the
package first on the path. Single kills are exhaustive, whatever time they take; then a
second one inside the recovery from the first, in a seeded order, until *seconds* have
passed since the beginning.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

from stem_actor._core import ffi, lib

from tests.ring.memory import Memory, State

from .core_scenario import (
    CHILD,
    ROLES,
    SUPERVISOR,
    TASKS,
    TTL_NS,
    Ledger,
    Scenario,
)


def run(action: Callable[[], object]) -> int | None:
    """Run *action* in a child; return the signal that ended it, or None."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        raise AssertionError("the scenario failed by itself, see above")
    return None


def recover(scenario: Scenario, hit: int) -> int:
    """Recover in a process that dies at *hit* (0: does not); return the hits."""
    page = Memory(4096)
    ffi.cast("uint32_t *", page.bytes)[1] = hit

    def act() -> None:
        lib.sa_crash_arm(page.at)
        scenario.arena.crash_supervisor()
        scenario.arena.settle()

    run(act)
    return int(ffi.cast("uint32_t *", page.bytes)[0])


def audit(scenario: Scenario) -> None:
    """Recover, let everything end, and compare with the ledger."""
    arena, ledger = scenario.arena, scenario.ledger
    if ledger.count(Ledger.EXPIRED):
        # Checked by the scenario before results were let go; nothing may be live.
        arena.crash_supervisor()
        assert all(slot.state is State.FINISHED for slot in arena.live_slots())
        assert arena.check() == 0
        return
    scenario.disarm()
    arena.now_ns += TTL_NS // 1000
    arena.wall_ns += TTL_NS // 1000
    arena.crash_supervisor()
    assert arena.check() == 0
    scenario.start(0)
    scenario.start(1)
    scenario.run_out()
    assert arena.check() == 0
    scenario.compare()
    ids = Counter(slot.id for slot in arena.live_slots())
    assert set(ids.values()) <= {1}, "one task in two slots"
    scenario.drain()
    accepted = sum(ledger.count(Ledger.ACCEPTED, n) for n in range(TASKS) if n != CHILD)
    assert ledger.count(Ledger.ANSWERED) >= accepted


def kill_once(role: str, hit: int, again: int | None = None) -> tuple[int, int]:
    """Kill *role* at *hit*, and its recovery at *again*; return both counts of hits."""
    scenario = Scenario(role, hit)
    signal = run(scenario.play)
    assert (signal is not None) == (role == SUPERVISOR and 0 < hit <= scenario.hits)
    hits = scenario.hits
    inside = 0 if again is None else recover(scenario, again)
    audit(scenario)
    scenario.arena.close()
    return hits, inside


def main() -> int:
    """Every single kill, then pairs until they, or the time, are used up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--once", help="role:hit[:hit in the recovery], to look at one")
    options = parser.parse_args()
    if not lib.sa_crash_built():
        print("this build has no crash points", file=sys.stderr)
        return 64
    if options.once:
        role, *hits = options.once.split(":")
        kill_once(role, int(hits[0]), int(hits[1]) if len(hits) > 1 else None)
        return 0
    until = time.monotonic() + options.seconds
    singles = [
        (role, hit) for role in ROLES for hit in range(1 + kill_once(role, 0)[0])
    ]
    for role, hit in singles:
        print(f"kill {role}:{hit}", file=sys.stderr, flush=True)
        kill_once(role, hit)
    pairs = double_kills(random.Random(options.seed), until, singles)
    print(f"{len(singles)} single kills, {pairs} kills inside the recovery: all sound")
    return 0


def double_kills(
    rng: random.Random, until: float, singles: list[tuple[str, int]]
) -> int:
    """Kill the recovery too, at each of its points; return how many were tried."""
    firsts = [hit for role, hit in singles if role == SUPERVISOR and hit]
    rng.shuffle(firsts)
    done = 0
    for hit in firsts:
        inside = kill_once(SUPERVISOR, hit, 0)[1]
        for again in rng.sample(range(1, inside + 1), inside):
            if time.monotonic() > until:
                return done
            print(f"kill {SUPERVISOR}:{hit}:{again}", file=sys.stderr, flush=True)
            kill_once(SUPERVISOR, hit, again)
            done += 1
    return done


if __name__ == "__main__":
    sys.exit(main())
