"""The whole core against a plain model, under every mixture of actions and deaths."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from stem_actor._core import ffi, lib

from .claims import group, rate, unique
from .harness import MS, SECOND
from .memory import Fault, Kind, State
from .model import Fate, Life
from .peers import Task, task_id
from .watched import LIMITS, WORKERS, WatchedCore

LONG = os.environ.get("STEM_ACTOR_FAULT") == "long"
QUEUES = ("a", "b", "c")
CLAIMS = {
    (): b"",
    ("rate",): rate(1, *LIMITS["rate"]),
    ("group", "rate"): group(1, *LIMITS["group"]) + rate(1, *LIMITS["rate"]),
}
ENDINGS = (Kind.SUCCEEDED, Kind.FAILED, Kind.CANCELLED)

#: Of a task without any of them.
_NO_TIMES = {"delay_ns": 0, "expires_ns": 0, "hard_ns": 0}

workers = st.integers(0, WORKERS - 1)
picks = st.integers(0, 2**16)


class Core(WatchedCore):
    """Rules act on the core and on the model; the invariants compare the two."""

    # --- producers -----------------------------------------------------------

    @precondition(lambda self: len(self.producers) < 3)
    @rule()
    def connect(self) -> None:
        """A producer comes."""
        self._connect(0)

    @precondition(lambda self: len(self.producers) > 1)
    @rule(pick=picks)
    def producer_dies(self, pick: int) -> None:
        """A producer goes; what it published stays accepted."""
        row = sorted(self.producers)[pick % len(self.producers)]
        self._collect(row)
        assert self.arena.detach(row) == lib.SA_OK
        self.producers.pop(row).close()
        for fate in self.book.fates.values():
            if fate.row == row:
                fate.row = -1
        self._observe()

    @rule(
        pick=picks,
        queue=st.sampled_from(QUEUES),
        priority=st.integers(0, 9),
        count=st.integers(1, 5),
        delay_ns=st.sampled_from([0, 0, 0, 30 * MS, SECOND]),
        expires_ns=st.sampled_from([0, 0, 0, 20 * MS, SECOND]),
        hard_ns=st.sampled_from([0, 50 * MS]),
        limits=st.sampled_from([(), (), *CLAIMS]),
    )
    def submit(
        self,
        pick: int,
        queue: str,
        priority: int,
        count: int,
        limits: tuple[str, ...],
        **times: int,
    ) -> None:
        """A producer submits, one or several at once."""
        if len(self.book.at(*set(Life) - {Life.FINISHED})) > 60:
            return
        row = sorted(self.producers)[pick % len(self.producers)]
        wall = self.arena.wall_ns
        task = Task(
            queue=queue,
            priority=priority,
            hard_ns=times["hard_ns"],
            not_before_ns=times["delay_ns"] and wall + times["delay_ns"],
            expires_ns=times["expires_ns"] and wall + times["expires_ns"],
            claims=CLAIMS[limits],
        )
        accepted = self.producers[row].submit(task, [b"x"] * count)
        assert len(accepted) == count
        for one in accepted:
            self.book.fates[one.id] = Fate(
                *(one.id, one.ticket, row, queue, task.expires_ns, limits)
            )

    @rule(key=st.integers(0, 2), for_ns=st.sampled_from([0, 30 * MS, SECOND]))
    def submit_unique(self, key: int, for_ns: int) -> None:
        """A task with a key is the only one, or is told who is."""
        row, wall = min(self.producers), self.arena.wall_ns
        self.arena.settle()
        self._observe()
        self._collect(row)
        holder = self._holder(key)
        task = Task(claims=unique(key, for_ns), created_ns=wall, queue="a")
        [one] = self.producers[row].submit(task)
        self._step()
        replies = self.producers[row].drain()
        merged = [r.payload for r in replies if r.ticket == one.ticket]
        self._note(row, [r for r in replies if r.ticket != one.ticket])
        if holder is not None:
            assert merged == [holder.id]
            assert self.arena.find(one.id) is None
            return
        assert not merged
        fate = Fate(
            *(one.id, one.ticket, row, "a", 0), lapses_ns=for_ns and wall + for_ns
        )
        self.book.fates[one.id] = self.held[key] = fate

    @precondition(lambda self: self.book.fates)
    @rule(pick=picks)
    def submit_again(self, pick: int) -> None:
        """An id that is known is refused with one reply, and runs no second time."""
        fates = list(self.book.fates.values())
        fate = fates[pick % len(fates)]
        row = min(self.producers)
        self.arena.settle()
        self._observe()
        self._collect(row)
        if self.arena.find(fate.id) is None:
            return
        [again] = self.producers[row].submit(Task(id=fate.id))
        self._step()
        replies = self.producers[row].drain()
        assert [r.kind for r in replies if r.ticket == again.ticket] == [Kind.DUPLICATE]
        self._note(row, [r for r in replies if r.ticket != again.ticket])

    @rule(pick=picks)
    def drain(self, pick: int) -> None:
        """A producer reads its replies."""
        self._collect(sorted(self.producers)[pick % len(self.producers)])

    # --- the supervisor ------------------------------------------------------

    @rule(budget=st.sampled_from([1, 3, 256]))
    def step(self, budget: int) -> None:
        """One step."""
        self._step(budget)

    @rule(by_ns=st.sampled_from([1, MS, 6 * MS, 40 * MS, SECOND]))
    def time_passes(self, by_ns: int) -> None:
        """Both clocks go on."""
        self._step(after_ns=by_ns)

    @rule(by_ns=st.sampled_from([-SECOND, -5 * MS, 3 * MS, 40 * MS]))
    def wall_clock_is_set(self, by_ns: int) -> None:
        """Only the wall clock moves."""
        self.arena.wall_ns += by_ns
        self._step()

    @rule()
    def supervisor_dies(self) -> None:
        """The core is lost; a new one recovers over the same memory."""
        self.arena.crash_supervisor()
        self.crashed = True
        self.quiet.clear()
        self.told.clear()
        for worker in range(WORKERS):
            self._bury(worker, own=False)
        self._observe()

    # --- workers -------------------------------------------------------------

    @rule(worker=workers, spare=st.sampled_from([False, False, True]))
    def worker_comes(self, worker: int, spare: bool) -> None:
        """A worker is born, or told to be a spare or not."""
        if worker in self.arena.workers:
            lib.sa_core_worker_spare(self.arena.core, worker, spare)
            return
        self.arena.start_worker(worker, spare=spare)

    @rule(worker=workers)
    def take(self, worker: int) -> None:
        """A worker takes what it is offered, unless it is busy."""
        actor = self.arena.workers.get(worker)
        busy = len(self.book.on(worker, Life.RUNNING))
        if actor is None or busy >= self.arena.shape.concurrency:
            return
        grant = actor.take()
        if grant is None:
            return
        fate = self.book.fates[task_id(grant)]
        assert fate.life is Life.WAITING, "two starts at a time, or one too many"
        assert worker not in self.quiet
        assert (grant.starts, grant.attempt) == (fate.starts + 1, fate.attempt)
        self._toll(fate)
        fate.start(worker, grant)

    @rule(worker=workers, is_revoked=st.booleans())
    def begin(self, worker: int, is_revoked: bool) -> None:
        """A task is there, and a worker takes it: what chance alone seldom brings."""
        if not self.book.at(Life.WAITING):
            self.submit(pick=0, queue="a", priority=0, count=2, limits=(), **_NO_TIMES)
        if worker not in self.arena.workers:
            self.arena.start_worker(worker)
        self._step()
        self.take(worker=worker)
        if is_revoked and self.book.at(Life.RUNNING):
            self.forbid(pick=0)

    @precondition(lambda self: self.book.at(Life.RUNNING))
    @rule(
        worker=workers,
        kind=st.sampled_from([*ENDINGS, Kind.SUCCEEDED, Kind.RETRY, Kind.UNKNOWN]),
        delay_ns=st.sampled_from([0, 10 * MS]),
        chatty=st.booleans(),
    )
    def report(self, worker: int, kind: Kind, delay_ns: int, chatty: bool) -> None:
        """A worker reports an ending, perhaps with progress before it."""
        running = self.book.on(worker, Life.RUNNING)
        if not running:
            return
        fate, actor = running[0], self.arena.workers[worker]
        delay_ns = delay_ns if kind is Kind.RETRY else 0
        if chatty:
            assert actor.report(fate.grant, Kind.PROGRESS, b"50") == lib.SA_OK
            assert actor.report(fate.grant, Kind.EXTEND, b"", MS) == lib.SA_OK
        assert actor.report(fate.grant, kind, b"out" * 9, delay_ns) == lib.SA_OK
        fate.life, fate.outcome = Life.REPORTED, (kind, delay_ns)
        if kind is Kind.UNKNOWN:
            self._untoll(fate)

    @rule(worker=workers, own=st.booleans())
    def worker_dies(self, worker: int, own: bool) -> None:
        """A worker dies; what it had committed stands, the rest is classified."""
        if worker not in self.arena.workers:
            return
        fault = Fault.CRASH if own else Fault.COLLATERAL
        assert self.arena.crash_worker(worker, fault) == lib.SA_OK
        self._bury(worker, own=own)
        self._observe()

    def _bury(self, worker: int, *, own: bool) -> None:
        for fate in self.book.on(worker, Life.REPORTED):
            fate.commit(self.arena.now_ns)
        # Where several run in one worker, only the one it marked gets the crash.
        own = own and self.arena.shape.concurrency == 1
        for fate in self.book.on(worker, Life.RUNNING):
            fate.lose(own=own)
        self.quiet.discard(worker)

    @rule(worker=workers, drain=st.booleans())
    def quiet_worker(self, worker: int, drain: bool) -> None:
        """A worker is offered nothing more; what it runs goes on."""
        if worker not in self.arena.workers:
            return
        left = lib.sa_core_worker_quiet(self.arena.core, worker, drain)
        self.quiet.add(worker)
        assert left == len(self.book.on(worker, Life.RUNNING, Life.REPORTED))

    # --- verdicts and commands -----------------------------------------------

    @precondition(lambda self: self.book.at(Life.HELD))
    @rule(pick=picks, verdict=st.sampled_from(["release", "retry", "later", "fail"]))
    def give_verdict(self, pick: int, verdict: str) -> None:
        """The supervisor decides about a lost start."""
        held = self.book.at(Life.HELD)
        self._decide(held[pick % len(held)], verdict)

    def _decide(self, fate: Fate, verdict: str) -> None:
        core, slot = self.arena.core, self.arena.find(fate.id)
        assert slot is not None
        key = (slot.number, slot.gen)
        assert key in self.told, "nobody was told of this lost start"
        self.told.discard(key)
        if fate.revoked:  # whatever else is asked for
            rc = lib.sa_core_settle_held(core, *key, Kind.CANCELLED, b"why", 3, 0)
            fate.finish(Kind.CANCELLED)
        elif verdict == "release":
            rc = lib.sa_core_release(core, *key, b"", 0)
            fate.life = Life.WAITING
        elif verdict == "fail":
            rc = lib.sa_core_settle_held(core, *key, Kind.FAILED, b"lost", 4, 1)
            fate.finish(Kind.FAILED)
        else:
            delay_ns = 10 * MS if verdict == "later" else 0
            rc = lib.sa_core_retry(core, *key, delay_ns, b"lost", 4)
            fate.attempt += 1
            fate.life = Life.DELAYED if delay_ns else Life.WAITING
            fate.wake_ns = self.arena.now_ns + delay_ns
        assert rc == lib.SA_OK

    @precondition(lambda self: self.book.fates)
    @rule(pick=picks)
    def revoke(self, pick: int) -> None:
        """A task is revoked: at once when it has not started, else not at all."""
        fates = list(self.book.fates.values())
        fate = fates[pick % len(fates)]
        slot = self.arena.find(fate.id)
        if slot is None:
            return
        rc = lib.sa_core_revoke(self.arena.core, slot.number, slot.gen, b"revoked", 7)
        started = fate.life in (Life.RUNNING, Life.REPORTED, Life.FINISHED)
        assert rc == (lib.SA_STALE if started else lib.SA_OK)
        if not started:
            fate.finish(Kind.CANCELLED)

    @precondition(lambda self: self.book.at(Life.RUNNING, Life.REPORTED))
    @rule(pick=picks)
    def forbid(self, pick: int) -> None:
        """A task that runs is revoked: from now on only its return counts."""
        started = self.book.at(Life.RUNNING, Life.REPORTED)
        fate = started[pick % len(started)]
        slot = self.arena.find(fate.id)
        assert slot is not None
        key = (slot.number, slot.gen)
        assert lib.sa_core_forbid(self.arena.core, *key, b"revoked", 7) == lib.SA_OK
        fate.revoked = True

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        """A queue is paused or resumed."""
        name = queue.encode()
        rc = lib.sa_core_pause(self.arena.core, name, len(name), paused)
        if rc == lib.SA_OK:
            (self.paused.add if paused else self.paused.discard)(queue)

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        """What waits in a queue, and is not offered, is cancelled."""
        waiting = [
            fate
            for fate in self.book.at(Life.WAITING, Life.DELAYED)
            if fate.queue == queue and self._state(fate) in (State.READY, State.DELAYED)
        ]
        count = ffi.new("uint32_t *")
        name = queue.encode()
        lib.sa_core_purge(self.arena.core, name, len(name), b"purged", 6, count)
        assert count[0] == len(waiting)
        for fate in waiting:
            fate.finish(Kind.CANCELLED)

    @rule()
    def unpark(self) -> None:
        """A worker with other handlers has come."""
        parked = self.book.at(Life.PARKED)
        assert lib.sa_core_unpark(self.arena.core) == len(parked)
        for fate in parked:
            fate.life = Life.WAITING

    @rule()
    def write_dead_letters(self) -> None:
        """The dead letters are on disk; their slots may go."""
        for key in self.dead_letters:
            lib.sa_core_dead_lettered(self.arena.core, *key)
        self.dead_letters.clear()

    # --- the end -------------------------------------------------------------

    def _drain_to_the_end(self) -> None:
        for queue in QUEUES:
            lib.sa_core_pause(self.arena.core, queue.encode(), 1, 0)
        for worker in range(WORKERS):
            if worker in self.arena.workers:
                self.worker_dies(worker=worker, own=False)
            self.arena.start_worker(worker)
        for _ in range(400):
            self._step(after_ns=20 * MS)
            self.unpark()
            for fate in self.book.at(Life.HELD):
                self._decide(fate, "release")
            for worker in range(WORKERS):
                self.take(worker=worker)
                self.report(
                    worker=worker, kind=Kind.SUCCEEDED, delay_ns=0, chatty=False
                )
            for row in self.producers:
                self._collect(row)
            if not self.book.at(*set(Life) - {Life.FINISHED}):
                break
        self._step()
        for row in self.producers:
            self._collect(row)
        left = self.book.at(*set(Life) - {Life.FINISHED})
        assert not left, f"lost: {left}"
        unheard = [f for f in self.book.fates.values() if f.row >= 0 and not f.replies]
        assert not unheard, f"no reply: {unheard}"
        self.the_core_is_sound()


TestCore = Core.TestCase
TestCore.settings = settings(
    max_examples=4000 if LONG else 150, stateful_step_count=60, deadline=None
)
