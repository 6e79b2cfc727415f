"""
A short life of one core in which everything happens once, played with kills.

Eight tasks: one succeeds, one retries, one loses its worker, one is revoked, one
fails, one reports progress, one is a child, one is the double of another and never
runs. Two wait for limits. The armed role runs under crash points;
peers whose role is armed act in a process of their own, forked for each turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from stem_actor._core import ffi, lib

from tests.ring.claims import group, rate, unique
from tests.ring.harness import MS, Arena, Shape
from tests.ring.memory import Fault, Kind, Memory, State, Told
from tests.ring.peers import Producer, ScriptedWorker, Task, task_id

SUPERVISOR, WORKER, PRODUCER = "supervisor", "worker", "producer"
ROLES = (SUPERVISOR, WORKER, PRODUCER)
TASKS = 8
RETRIES, CRASHES, REVOKED, FAILS, CHATTY, CHILD, DOUBLE = 1, 2, 3, 4, 5, 6, 7
TTL_NS = 10**15
RESULT = b"result"
_LIMITS = group(1, 2, 15 * MS) + rate(1, 1, 10 * MS)
CLAIMS = {0: _LIMITS, RETRIES: _LIMITS, CHATTY: unique(1), DOUBLE: unique(1)}

#: What a worker's turn ended with.
NOTHING, REPORTED, CRASHED = 0, 1, 2
KILLED = -1


def id_of(number: int) -> bytes:
    """Return the id of task *number*."""
    return bytes([0xC0, *bytes(14), number])


class Ledger:
    """What an observer outside knows; survives every process of the scenario."""

    ACCEPTED, STARTED, COMMITTED, ANSWERED, EXPIRED = 0, 32, 64, 96, 97

    def __init__(self) -> None:
        self.memory = Memory(4096)

    def note(self, at: int, number: int = 0) -> None:
        """Count one more."""
        self.memory.bytes[at + number] += 1

    def count(self, at: int, number: int = 0) -> int:
        """Return how many were counted."""
        return int(self.memory.bytes[at + number])


class Scenario:
    """The scenario, with crash points armed in one role."""

    def __init__(self, role: str, hit: int) -> None:
        self.role = role
        self.page = Memory(4096)
        ffi.cast("uint32_t *", self.page.bytes)[1] = hit
        self.ledger = Ledger()
        self.arena = Arena(
            Shape(slots=64, arena_bytes=1 << 20, cells=8, result_ttl_ns=TTL_NS)
        )
        self.row, self._first = self.arena.connect(2**64 - 256)

    @property
    def hits(self) -> int:
        """How many crash points the armed role has passed."""
        return int(ffi.cast("uint32_t *", self.page.bytes)[0])

    def disarm(self) -> None:
        """Let nobody die any more."""
        self.role = ""

    def armed(self, role: str, action: Callable[[], Any]) -> Any:
        """Run *action* under crash points when *role* is the one that dies."""
        if role != self.role:
            return action()
        lib.sa_crash_arm(self.page.at)
        try:
            return action()
        finally:
            lib.sa_crash_arm(ffi.NULL)

    def _turn(self, role: str, action: Callable[[], int]) -> int:
        if role != self.role:
            return action()
        pid = os.fork()
        if pid == 0:
            os._exit(self.armed(role, action))
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return KILLED
        return os.WEXITSTATUS(status)

    def step(self, after_ns: int = 0) -> None:
        """Step until nothing moves."""
        self.arena.now_ns += after_ns
        self.arena.wall_ns += after_ns
        self.armed(SUPERVISOR, self.arena.settle)

    # --- turns of the peers --------------------------------------------------

    def submit(self, *numbers: int) -> None:
        """Let the producer submit tasks, each in a call of its own."""

        def act() -> int:
            ring = self.arena.producer_rings[self.row]
            producer = Producer(ring, self.arena.bell)
            for number in numbers:
                claims = CLAIMS.get(number, b"")
                task = Task(id=id_of(number), body=b"%d" % number, claims=claims)
                if producer.submit(task):
                    self.ledger.note(Ledger.ACCEPTED, number)
            producer.close()
            return 0

        self._turn(PRODUCER, act)
        self.step()

    def drain(self) -> None:
        """Let the producer read its replies."""

        def act() -> int:
            ring = self.arena.producer_rings[self.row]
            producer = Producer(ring, self.arena.bell)
            for reply in producer.drain():
                if reply.kind is not Kind.PROGRESS:
                    self.ledger.note(Ledger.ANSWERED)
            producer.close()
            return 0

        self._turn(PRODUCER, act)
        self.step()

    def work(self, worker: int) -> int:
        """Let a worker take one task and do what the task is there for."""
        ending = self._turn(WORKER, lambda: self._work(worker))
        if ending in (CRASHED, KILLED):
            self._bury(worker)
        self.step()
        return ending

    def _work(self, worker: int) -> int:
        ring = self.arena.worker_rings[worker]
        actor = ScriptedWorker(ring, self.arena.segment, self.arena.bell)
        grant = actor.take()
        ending = NOTHING if grant is None else self._handle(worker, actor, grant)
        actor.close()
        return ending

    def _handle(self, worker: int, actor: ScriptedWorker, grant: Any) -> int:
        number = task_id(grant)[-1]
        self.ledger.note(Ledger.STARTED, number)
        assert not self.ledger.count(Ledger.COMMITTED, number), "ran after its end"
        if number == CRASHES and grant.starts == 1:
            return CRASHED
        if number == CHATTY:
            actor.report(grant, Kind.PROGRESS, b"half")
        if number == FAILS:
            self._submit_child(worker)
            actor.report(grant, Kind.FAILED, RESULT)
        elif number == RETRIES and grant.attempt == 0:
            actor.report(grant, Kind.RETRY, b"error", 10 * MS)
            return REPORTED
        else:
            actor.report(grant, Kind.SUCCEEDED, RESULT)
        self.ledger.note(Ledger.COMMITTED, number)
        return REPORTED

    def _submit_child(self, worker: int) -> None:
        child = Producer(self.arena.worker_rings[worker], self.arena.bell)
        if child.submit(Task(id=id_of(CHILD))):
            self.ledger.note(Ledger.ACCEPTED, CHILD)
        child.close()

    # --- the supervisor ------------------------------------------------------

    def start(self, worker: int) -> None:
        """A worker comes up."""
        rc = lib.sa_core_worker_live(self.arena.core, worker, 1, 0, -1)
        assert rc == lib.SA_OK

    def _bury(self, worker: int) -> None:
        rc = self.armed(
            SUPERVISOR,
            lambda: lib.sa_core_worker_died(
                self.arena.core, worker, Fault.CRASH, 0xFFFFFFFF
            ),
        )
        assert rc == lib.SA_OK
        self.release_held()
        self.start(worker)

    def release_held(self) -> None:
        """Run what was lost once more; write dead letters down."""
        core = self.arena.core
        for event in self.arena.events():
            key = (event.slot, event.gen)
            if event.type == Told.HELD:
                self.armed(SUPERVISOR, partial(lib.sa_core_release, core, *key, b"", 0))
            elif event.type == Told.DEAD_LETTER:
                self.armed(SUPERVISOR, partial(lib.sa_core_dead_lettered, core, *key))

    def revoke(self, number: int) -> None:
        """Revoke a task, if it is there and waits."""
        slot = self.arena.find(id_of(number))
        if slot is not None:
            self.armed(
                SUPERVISOR,
                lambda: lib.sa_core_revoke(
                    self.arena.core, slot.number, slot.gen, b"", 0
                ),
            )

    def run_out(self) -> None:
        """Let both workers run until every task has ended."""
        for _ in range(60):
            self.step(20 * MS)
            self.release_held()
            busy = [self.work(worker) for worker in (0, 1)]
            live = [s for s in self.arena.live_slots() if s.state != State.FINISHED]
            if busy == [NOTHING, NOTHING] and not live:
                return
        raise AssertionError("tasks are left")

    def play(self) -> None:
        """Everything, once."""
        self.submit(0, RETRIES, CRASHES)
        self.start(0)
        self.start(1)
        self.step()
        self.work(0)
        self.work(1)
        self.submit(REVOKED, FAILS, CHATTY, DOUBLE)
        self.revoke(REVOKED)
        self.work(0)
        self.armed(SUPERVISOR, lambda: lib.sa_core_worker_quiet(self.arena.core, 1, 0))
        self.armed(
            SUPERVISOR,
            lambda: lib.sa_core_worker_died(
                self.arena.core, 1, Fault.COLLATERAL, 0xFFFFFFFF
            ),
        )
        self.start(1)
        self.run_out()
        self.drain()
        assert self.arena.check() == 0
        self.compare()
        if self.role != PRODUCER:
            assert self.ledger.count(Ledger.ANSWERED) == TASKS - 1  # not the child's
        self.ledger.note(Ledger.EXPIRED)
        self.step(2 * TTL_NS)

    def compare(self) -> None:
        """Compare every task's slot with what its handler wrote down."""
        ledger, slack = self.ledger, 0
        for number in range(TASKS):
            slot = self.arena.find(id_of(number))
            if number == DOUBLE:
                assert slot is None, "a double has a slot"
                continue
            if slot is None:
                accepted = ledger.count(Ledger.ACCEPTED, number)
                assert not accepted, f"task {number} is lost"
                continue
            assert slot.state is State.FINISHED
            if number != REVOKED:
                assert slot.kind in (Kind.SUCCEEDED, Kind.FAILED)
                assert slot.attempt == (number == RETRIES)
                assert slot.out_len == len(RESULT), f"task {number}: result lost"
            more = slot.starts - ledger.count(Ledger.STARTED, number)
            assert more >= 0, f"task {number}: {-more} starts were not counted"
            slack += more
        # A worker killed right behind its claim started without writing it down.
        assert slack <= (self.role == WORKER), "a start was counted that never was"
