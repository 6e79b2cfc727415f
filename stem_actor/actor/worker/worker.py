"""The worker actor: takes one task at a time, runs it, reports."""

from __future__ import annotations

import _thread
import os
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.descriptors import are_left
from stem_actor.actor.worker.interrupter import Interrupter
from stem_actor.actor.worker.last_words import LastWords
from stem_actor.actor.worker.leftovers import Census
from stem_actor.actor.worker.runtime import ChildSubmitter, WorkerRuntime
from stem_actor.engine.execute import Report, execute
from stem_actor.engine.wish import NO_WISH, wish_of
from stem_actor.errors import PayloadError, PayloadTooLarge
from stem_actor.model.error import TaskError
from stem_actor.model.verdict import VERDICT
from stem_actor.policy.strategy import RetryStrategy
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.mailbox import Grant, Mailbox
from stem_actor.ring.native import Status, ffi, lib, raise_for
from stem_actor.ring.producer import Kind, RingProducer
from stem_actor.ring.record import SPOOLED
from stem_actor.ring.segment import open_segment
from stem_actor.ring.spool import Spool, result_name
from stem_actor.tasks.delivery import Delivery
from stem_actor.tasks.outcome import add_verdict, pack_failure
from stem_actor.tasks.prescan import require_decodable
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import SyncTask

__all__ = ["CHILD_LEFT", "Hooks", "WorkerActor", "open_mailbox", "refusal"]

_SLICE_NS: Final = 100_000_000
_ROOM_NS: Final = 1_000_000_000
#: Above this a result goes to the spool; the second, when the arena is short.
_RESULT_MAX: Final = 60_000
_SMALL: Final = 1024
#: How long a result waits for room in the spool before its task fails, in seconds.
_SPOOL_S: Final = 5.0
_SPOOL_AGAIN_S: Final = 0.05
#: In place of a delay, which only a retry has: the payload is a claim check.
_IS_SPOOLED: Final = 1
#: A start that took less is recorded without what it used, which would cost more.
_BRIEF_NS: Final = 10_000_000
#: A start that took less cannot have begun a process and returned.
_FORK_NS: Final = 200_000
#: For how long starts of one type in a row trust that it has left the signals alone:
#: two system calls for each would be a twentieth of the time that a small one takes.
_ARMED_NS: Final = 200_000
#: Exit status of a handler's child that has left the handler.
CHILD_LEFT: Final = 70

Hook = Callable[[], object]


class Hooks:
    """What the user wants done once in each worker."""

    def __init__(
        self, init: Sequence[Hook] = (), shutdown: Sequence[Hook] = ()
    ) -> None:
        self.init = list(init)
        self.shutdown = list(shutdown)


def open_mailbox(birth: Birth, spool: Spool) -> tuple[Mailbox, ChildSubmitter]:
    """
    Map this worker's rings.

    Raises:
        RingError: If they are corrupt, or meant for a later incarnation: this
            process was born for a supervisor that is gone.
    """
    directory = RingDirectory(Path(birth.directory), is_anonymous=True)
    ring = open_segment(directory.worker_ring(birth.index), writable=True)
    core = open_segment(directory.core, writable=False)
    bell = open_segment(directory.bell, writable=True)
    mailbox = Mailbox(
        ring, core, bell,
        bell_fd=birth.bell_fd, epoch=birth.epoch, incarnation=birth.incarnation,
        worker=birth.index,
    )  # fmt: skip
    submit = RingProducer(
        open_segment(directory.worker_ring(birth.index), writable=True),
        open_segment(directory.bell, writable=True),
        birth.bell_fd,
    )
    slots = int(ffi.cast("struct sa_super *", core.at).slots)
    return mailbox, ChildSubmitter(submit, spool, slots)


class WorkerActor:
    """
    1. maps its rings, arms its last words, runs the user's init hooks;
    2. takes a task, runs it in the main thread, reports; again;
    3. leaves when it is told to drain, or after a start that was interrupted: no
       half-imported module or half-used connection survives into the next task.
    """

    def __init__(
        self, birth: Birth, registry: Registry, strategy: RetryStrategy, limit: int
    ) -> None:
        self.birth = birth
        self.spool = Spool(Path(birth.directory) / "spool", limit)
        self.mailbox, self.children = open_mailbox(birth, self.spool)
        self.strategy = strategy
        self._task_of = registry.by_hash
        directory = RingDirectory(Path(birth.directory), is_anonymous=True)
        self._words = LastWords(directory.last_words(birth.index))
        self._words.arm(self.mailbox)
        self.interrupter = Interrupter(
            self.mailbox, birth.wake_fd, lambda at, text: self._words.keep(at.id, text)
        )
        self._used = self.mailbox.measure()
        self._used_at_ns = time.monotonic_ns()
        self._threads = 0
        self._stock = self._take_stock
        #: The type of the last start if it had a soft limit, and when that was armed.
        self._armed_for = 0
        self._armed_ns = 0
        self.is_leaving = False
        self.is_child = False
        # A child of a handler that leaves it by return, raise or sys.exit would go on
        # as a second worker, with hooks and last words that are not its own.
        os.register_at_fork(after_in_child=self._become_child)

    def run(self, hooks: Hooks) -> None:
        """Serve until there is a reason to leave."""
        try:
            for hook in hooks.init:
                hook()
            # What the imports and the hooks have begun may stay.
            self._census, self._threads = Census(), _thread._count()
            try:
                self._serve()
            finally:
                for hook in hooks.shutdown:
                    hook()
        except BaseException:
            # Outside of any task: the supervisor counts it, and shows this.
            self._words.write(traceback.format_exc())
            raise

    # --- inside

    def _become_child(self) -> None:
        self.is_child = True

    def _serve(self) -> None:
        grant = Grant()
        raw, handle = grant.raw, self.mailbox.handle
        take, finish = lib.sa_worker_next, lib.sa_worker_finish_next
        while not self.is_leaving:
            rc = take(handle, raw, _SLICE_NS)
            while rc == Status.OK:
                report = self.start(grant)
                if report.kind != Kind.SUCCEEDED or report.delay_ns or self.is_leaving:
                    self.mailbox.report(
                        grant, report.kind, report.payload, report.delay_ns
                    )
                    break
                payload = report.payload
                rc = finish(handle, raw, payload, len(payload), _ROOM_NS)
                while rc in (Status.TIMEOUT, Status.INTERRUPTED):
                    rc = finish(handle, raw, payload, len(payload), _ROOM_NS)
            else:
                if rc not in (Status.EMPTY, Status.TIMEOUT, Status.INTERRUPTED):
                    raise_for(rc, "reading the mailbox")
                if self.mailbox.is_draining:
                    return

    def start(self, grant: Grant) -> Report:
        """Run the task in *grant* to its report."""
        raw = grant.raw
        task = self._task_of(raw.type_hash)
        if not isinstance(task, SyncTask):
            return Report(Kind.UNKNOWN, b"")
        refused = self.refuse(grant)
        if refused is not None:
            return refused
        runtime = self.begin(grant)
        self.interrupter.current = runtime
        try:
            delivery = self.delivery(grant, runtime.started_ns)
            report = execute(task, delivery, runtime, strategy=self.strategy)
            report = self.end(runtime, report)
        except PayloadError as error:  # the body is not where its claim check says
            return refusal(error, "bad-arguments", runtime)
        else:
            return self.fit(runtime, grant, report)
        finally:
            if self.is_child:
                os._exit(CHILD_LEFT)
            self.interrupter.current = None
            if runtime.struck:
                self.is_leaving = True

    def begin(self, grant: Grant) -> WorkerRuntime:
        """Return the runtime of *grant*, which starts now."""
        now = time.monotonic_ns()
        if now - self._used_at_ns > _BRIEF_NS or grant.raw.meters:
            self._used, self._used_at_ns = self.mailbox.measure(), now
        if grant.raw.heard:
            self.mailbox.report(grant, Kind.STARTED)
        return WorkerRuntime(
            self.mailbox, grant, self.children, self.interrupter.strike, self._stock,
            self._used, now,
        )  # fmt: skip

    def end(self, runtime: WorkerRuntime, report: Report) -> Report:
        """Add the verdict to a result, if the start was long or left something."""
        took = time.monotonic_ns() - runtime.started_ns
        if took > _FORK_NS or _thread._count() != self._threads:
            self._take_stock(runtime)
        if report.kind != Kind.SUCCEEDED:
            # Nor does a worker go on to which a handler has left no descriptor.
            self.is_leaving |= not are_left(1)
            return report
        if took < _BRIEF_NS and not runtime.stop and not runtime.has_left:
            return report
        facts = {"reason": "returned", **runtime.facts()}
        return report._replace(payload=add_verdict(report.payload, facts))

    def _take_stock(self, runtime: WorkerRuntime) -> None:
        """Note, once, what the start has left; this process ends if that must end."""
        if runtime.is_stocked or self._has_neighbours(runtime):
            return
        runtime.is_stocked = True
        is_brief = time.monotonic_ns() - runtime.started_ns < _BRIEF_NS
        found = self._census.look(is_brief=is_brief)
        runtime.threads, runtime.processes = found.threads, found.processes
        self._threads = _thread._count()
        self.is_leaving |= found.must_end

    def _has_neighbours(self, runtime: WorkerRuntime) -> bool:
        """Whether other starts run in this process: then nobody knows whose it is."""
        return len(self.interrupter.coroutines) > (runtime.coroutine is not None)

    def delivery(self, grant: Grant, now_ns: int) -> Delivery:
        """Return what the engine needs of *grant*; the body is copied or fetched."""
        raw = grant.raw
        soft_ns = raw.soft_ns
        if not soft_ns:
            self._armed_for = 0
        elif raw.type_hash != self._armed_for or now_ns - self._armed_ns > _ARMED_NS:
            self.interrupter.arm()
            self._armed_for, self._armed_ns = raw.type_hash, now_ns
        body = ffi.buffer(raw.body, raw.body_len)[:]
        if raw.flags & SPOOLED:
            body = self.spool.get(body)
            require_decodable(body, len(body), raw.task[3])
        wish = wish_of(grant.error()) if raw.error_len else NO_WISH
        return Delivery(
            ffi.buffer(raw.task + 16, 16)[:],
            raw.attempt,
            raw.starts,
            raw.task[3],
            body,
            lambda: grant.record().head,
            raw.flags,
            wish.max_retries,
            wish.load_policy,
            soft_ns,
            raw.hard_ns,
        )

    def fit(
        self,
        runtime: WorkerRuntime,
        grant: Grant,
        report: Report,
        *,
        wait_s: float = _SPOOL_S,
    ) -> Report:
        """
        Move a result that is too large for the ring to the spool.

        While the file system is full it waits, *wait_s* at most: what has been done
        is worth more than the time. Limits end the wait as they end the handler.
        """
        size = len(report.payload)
        if report.kind not in (Kind.SUCCEEDED, Kind.FAILED):
            return report  # a retry carries its delay, and an error that is bounded
        if size <= _RESULT_MAX and (size <= _SMALL or not self.mailbox.has_pressure):
            return report
        name = result_name(grant.task_id(), grant.starts)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                claim = self.spool.put(name, report.payload, path="the result")
            except PayloadTooLarge as error:
                return refusal(error, "bad-result", runtime)
            except PayloadError as error:  # no room: for a file, that is
                if size <= _RESULT_MAX:
                    return report
                if time.monotonic() >= deadline:
                    return refusal(error, "bad-result", runtime)
                time.sleep(_SPOOL_AGAIN_S)
            else:
                return Report(report.kind, claim, _IS_SPOOLED)

    @staticmethod
    def refuse(grant: Grant) -> Report | None:
        """Refuse what came too late, or would cost more to decode than a body may."""
        raw = grant.raw
        if raw.expires_ns and raw.expires_ns <= time.time_ns():
            return Report(Kind.EXPIRED, b"")
        if raw.body_len <= 256:  # cannot hold enough to matter
            return None
        if raw.flags & SPOOLED:
            return None  # it is a claim check; what it stands for is scanned later
        try:
            require_decodable(raw.body, raw.body_len, raw.task[3])
        except PayloadError as error:
            return refusal(error, "bad-arguments")
        return None


def refusal(
    error: PayloadError, reason: str, runtime: WorkerRuntime | None = None
) -> Report:
    """Return the report on a start whose body or result was refused for *error*."""
    facts = {} if runtime is None else runtime.facts()
    meta = {"reason": reason, VERDICT: {"reason": "raised", **facts}}
    failure = TaskError.from_exception(error, meta=meta)
    return Report(Kind.FAILED, pack_failure(failure))
