"""The worker actor for coroutine handlers: several of them at once, on one loop."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import Any, Final

import uvloop

from stem_actor.actor.worker.marked import Marked
from stem_actor.actor.worker.runtime import WorkerRuntime
from stem_actor.actor.worker.start_task import StartTask
from stem_actor.actor.worker.worker import CHILD_LEFT, Hooks, WorkerActor, refusal
from stem_actor.engine.execute import Report, aexecute
from stem_actor.errors import PayloadError
from stem_actor.ring.mailbox import Grant
from stem_actor.tasks.task import AsyncTask

__all__ = ["AsyncWorkerActor"]

_LOOK_S: Final = 0.1

_log = logging.getLogger("stem_actor")


class AsyncWorkerActor(WorkerActor):
    """
    Runs up to ``concurrency`` coroutine handlers side by side; a sync handler runs
    alone, with the loop standing still, as it would in any coroutine.
    """

    def serve(self, hooks: Hooks, concurrency: int) -> None:
        """Serve until there is a reason to leave."""
        self._concurrency = concurrency
        self._running: dict[int, asyncio.Task[None]] = {}
        self._fatal: Exception | None = None
        self.run(hooks)

    def _serve(self) -> None:
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        loop = runner.get_loop()
        main = loop.create_task(self._pump())
        while not main.done():
            try:
                loop.run_until_complete(main)
            except asyncio.CancelledError:
                _log.error("a task has cancelled its worker, which ends after it")
                main = loop.create_task(self._finish())
            except BaseException as error:
                # Without a close, which would cancel what runs and have it reported
                # as its own failure: the supervisor knows better.
                if main.done() or loop.is_closed():
                    raise
                # It came out of a callback or a task that a handler has begun, or
                # the handler has stopped the loop. No neighbour is to notice.
                _log.error("a task has ended the loop of its worker", exc_info=error)
            self.is_leaving = True
        runner.close()

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        loop.add_reader(self.birth.wake_fd, self._on_wake)
        grant = Grant()
        while not self.is_leaving:
            if self._fatal is not None:
                raise self._fatal
            if len(self._running) < self._concurrency and self.mailbox.take(grant):
                self._begin(grant)
                grant = Grant()
                continue
            if self.mailbox.is_draining and not self._running:
                break
            self._bell.clear()
            full = len(self._running) >= self._concurrency
            if not full and self.mailbox.arm():
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), _LOOK_S)
        await self._finish()

    def _on_wake(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self.birth.wake_fd)
        self._bell.set()

    def _begin(self, grant: Grant) -> None:
        task = self._task_of(grant.raw.type_hash)
        if not isinstance(task, AsyncTask):
            self._run_alone(grant)
            return
        refused = self.refuse(grant)
        if refused is not None:
            self._report(grant, refused)
            return
        runtime = self.begin(grant)
        coroutine = Marked(self._one(task, grant, runtime), self.mailbox, grant.cell)
        loop = asyncio.get_running_loop()
        started = StartTask(coroutine, loop=loop)
        started.runtime, runtime.coroutine = runtime, started
        self._running[grant.cell] = started
        self.interrupter.coroutines[grant.cell] = runtime

    async def _one(
        self, task: AsyncTask[..., Any], grant: Grant, runtime: WorkerRuntime
    ) -> None:
        cell = grant.cell
        try:
            try:
                delivery = self.delivery(grant, runtime.started_ns)
            except PayloadError as error:  # it is not where its claim check says
                self._report(grant, refusal(error, "bad-arguments", runtime))
                return
            report = await aexecute(task, delivery, runtime, strategy=self.strategy)
            report = self.end(runtime, report)
            # Without a wait for room in the spool: neighbours run on this loop.
            self._report(grant, self.fit(runtime, grant, report, wait_s=0))
        except Exception as error:
            # The start has no report, and would be "running" for ever: the worker
            # ends, and the supervisor classifies what it held.
            self._fatal = error
        finally:
            if self.is_child:
                os._exit(CHILD_LEFT)
            del self._running[cell], self.interrupter.coroutines[cell]
            if runtime.struck:
                self.is_leaving = True
            self._bell.set()

    def _run_alone(self, grant: Grant) -> None:
        """A sync handler may use a loop of its own: hide this one from it."""
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        self.mailbox.mark(grant.cell)  # a crash in here is this task's, and no other's
        try:
            report = self.start(grant)
        finally:
            self.mailbox.mark(None)
            asyncio._set_running_loop(loop)
        self._report(grant, report)

    def _report(self, grant: Grant, report: Report) -> None:
        self.mailbox.report(grant, report.kind, report.payload, report.delay_ns)

    async def _finish(self) -> None:
        """Neighbours of an interrupted coroutine end undisturbed."""
        while self._running:
            await asyncio.wait(list(self._running.values()))
