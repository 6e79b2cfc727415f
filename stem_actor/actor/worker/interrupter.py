"""The interrupter: from a signal to an exception in the handler that it means."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final

from stem_actor.actor.tree.signals import ALL_WORDS_SIGNAL, SOFT_SIGNAL
from stem_actor.actor.worker.place import Place, place_of
from stem_actor.actor.worker.runtime import WorkerRuntime
from stem_actor.actor.worker.stacks import stacks_of_all_threads
from stem_actor.actor.worker.start_task import StartTask
from stem_actor.actor.worker.waiting import waiters_of
from stem_actor.errors import SoftTimeLimitExceeded, TaskRevoked
from stem_actor.ring.mailbox import Mailbox, Stop
from stem_actor.tasks.context import CURRENT

__all__ = ["Interrupter"]

_MS: Final = 1_000_000
#: The wait before a delivery that could not be made is tried again, and its bound.
_AGAIN_NS: Final = 1 * _MS
_AGAIN_MAX_NS: Final = 10 * _MS
#: The same where Python has said that the exception was dropped.
_LOST_NS: Final = 10 * _MS
#: A loop that has not turned for so long is blocked.
_TURN_NS: Final = 100 * _MS
#: Frames that a delivery may need beyond the recursion limit.
_ROOM: Final = 64


class Interrupter:
    """
    Installed once in each worker; delivers each request to stop at most once.

    The C handler has dropped the requests of starts that are over. Of the others:

    - a plain handler gets the exception raised in it, wherever it is, but never in
      this library, nor before its first or after its last line: then it waits;
    - a handler that runs a loop has every task of that loop cancelled, and the
      exception raised in the one that runs;
    - a coroutine is cancelled, and if it is the one that runs (it blocks the loop), the
      exception is raised in it; so it is in a task that it waits for, if that keeps the
      loop from turning. Never in a neighbour, nor in what may serve one, nor in an idle
      loop.

    It is delivered again only if Python itself says that it was dropped, which it does
    for exceptions in ``__del__`` and in callbacks. A handler that swallows it has got
    it; the hard limit is for that one.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        wake_fd: int,
        note: Callable[[WorkerRuntime, str], None],
    ) -> None:
        """*note* keeps the stacks at a soft limit, in case the worker is killed."""
        self._mailbox = mailbox
        self._note = note
        self._is_busy = False
        #: The stacks of this moment, for all whose limits have passed in it.
        self._stacks: str | None = None
        #: The plain handler that runs, if one does.
        self.current: WorkerRuntime | None = None
        #: The coroutines that run, by cell.
        self.coroutines: dict[int, WorkerRuntime] = {}
        #: Whom the loop is to cancel as it turns, and since when it was asked to.
        self._to_cancel: list[tuple[WorkerRuntime, asyncio.Task[None]]] = []
        self._turn_ns = 0
        signal.signal(SOFT_SIGNAL, self._on_signal)
        mailbox.open_soft(SOFT_SIGNAL, wake_fd)
        self._hook: Callable[[Any], object] | None = None
        self._keep_hook()

    def arm(self) -> None:
        """
        Undo what an earlier task has done to the signals: it may have left them
        blocked, or the soft limit's ignored. Takes about a microsecond.
        """
        if not self._mailbox.is_armed(SOFT_SIGNAL, ALL_WORDS_SIGNAL):
            signal.signal(SOFT_SIGNAL, self._on_signal)
            self._mailbox.rearm(SOFT_SIGNAL)

    def strike(self, runtime: WorkerRuntime) -> None:
        """
        Deliver what a shield has held back; called by the handler's own code, in
        whichever thread it is.

        Raises:
            SoftTimeLimitExceeded: In a plain handler, for its soft limit or a drain.
            TaskRevoked: In a plain handler, if it was revoked.
        """
        if runtime.struck == runtime.stop:
            return
        if threading.get_native_id() != os.getpid():
            # A helper thread has left a shield: the limit is the main thread's, which
            # may have to be interrupted out of a system call. A signal without a
            # value has it look again.
            self._mailbox.stop_again(runtime.cell, runtime.stop, _AGAIN_NS)
            signal.pthread_kill(_main_thread(), SOFT_SIGNAL)
            return
        runtime.struck = runtime.stop
        if runtime.coroutine is None:
            raise _exception(runtime.stop)
        runtime.coroutine.cancel()

    # --- inside

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        # The handler may be as deep as it may go. Where not even this fits the
        # RecursionError is its own, and the C side tells again.
        sys.setrecursionlimit(sys.getrecursionlimit() + _ROOM)
        try:
            exception = self._take(frame)
        finally:
            # Too deep for that? The worker is replaced after this start.
            with suppress(RecursionError):
                sys.setrecursionlimit(sys.getrecursionlimit() - _ROOM)
        if exception is not None:
            raise exception

    def _take(self, frame: FrameType | None) -> BaseException | None:
        """Deliver all that was asked; returns what is to be raised at *frame*."""
        if self._is_busy:  # a second signal within this very method: soon again
            self._mailbox.look_again(_AGAIN_NS)
            return None
        self._is_busy = True
        self._stacks = None
        exception: BaseException | None = None
        try:
            while (found := self._mailbox.take_stop()) is not None:
                cell, stop = found
                runtime = self._runtime_in(cell)
                if runtime is not None:
                    exception = self._deliver_safely(runtime, stop, frame) or exception
        finally:
            self._is_busy = False
        return exception

    def _deliver_safely(
        self, runtime: WorkerRuntime, stop: int, frame: FrameType | None
    ) -> BaseException | None:
        """As ``_deliver``; what it could not do for an error has to come again."""
        try:
            return self._deliver(runtime, stop, frame)
        except BaseException:  # as from the user's handler of another signal
            if runtime.struck != stop:
                self._mailbox.stop_again(runtime.cell, stop, _AGAIN_NS)
            raise

    def _runtime_in(self, cell: int) -> WorkerRuntime | None:
        current = self.current
        if current is not None and current.cell == cell:
            return current
        return self.coroutines.get(cell)

    def _deliver(
        self, runtime: WorkerRuntime, stop: int, frame: FrameType | None
    ) -> BaseException | None:
        """Deliver *stop*; returns what is to be raised in the interrupted code."""
        if runtime.struck == stop or (runtime.struck and stop != Stop.REVOKED):
            # It is ending already, and may be saving its work. A revoke comes through:
            # it changes what the task ends as.
            return None
        self._keep_hook()
        if stop == Stop.SOFT and runtime.soft_stack is None:
            self._keep_stacks(runtime, frame)
        runtime.stop = stop
        held_ns = runtime.shielded_ns()
        if held_ns:
            self._mailbox.stop_again(runtime.cell, stop, held_ns)
            return None
        if runtime.coroutine is None:
            return self._into_handler(runtime, stop, frame)
        return self._into_coroutine(runtime, runtime.coroutine, stop, frame)

    def _keep_stacks(self, runtime: WorkerRuntime, frame: FrameType | None) -> None:
        """The record comes second: the limit holds without it."""
        try:
            if self._stacks is None:
                self._stacks = stacks_of_all_threads(frame)
            runtime.soft_stack = self._stacks
        except (MemoryError, RecursionError) as error:
            runtime.soft_stack = f"they could not be taken: {type(error).__name__}"
        with suppress(OSError):  # the handler has closed the file, or there is no room
            self._note(runtime, runtime.soft_stack)

    def _into_handler(
        self, runtime: WorkerRuntime, stop: int, frame: FrameType | None
    ) -> BaseException | None:
        loop = asyncio._get_running_loop()
        task = None if loop is None else asyncio.current_task(loop)
        if loop is not None and task is None:
            # It idles, or runs a callback: whatever is raised here goes astray.
            runtime.struck = stop
            loop.call_soon_threadsafe(_cancel_all, loop, None)
            return None
        if place_of(frame, is_owned=task is not None) is not Place.HANDLER:
            self._later(runtime, stop)
            return None
        if loop is not None:
            loop.call_soon_threadsafe(_cancel_all, loop, task)
        runtime.struck = stop
        return _exception(stop)

    def _into_coroutine(
        self,
        runtime: WorkerRuntime,
        coroutine: asyncio.Task[None],
        stop: int,
        frame: FrameType | None,
    ) -> BaseException | None:
        task = asyncio.current_task(coroutine.get_loop())
        if task is coroutine:
            return self._into_running(runtime, stop, frame)
        if not runtime.cancel_ns:
            self._cancel_soon(runtime, coroutine)
            return None
        left_ns = self._turn_ns + _TURN_NS - time.monotonic_ns()
        if left_ns > 0:
            self._mailbox.stop_again(runtime.cell, stop, left_ns)
            return None
        # The loop does not turn: for a task that a start waits for, or for any other,
        # which may serve neighbours.
        waiters = () if task is None else waiters_of(task)
        for waiter in waiters:
            if isinstance(waiter, StartTask) and waiter.runtime.cancel_ns:
                blocker = waiter.runtime
                exception = self._into_running(blocker, blocker.stop, frame)
                if exception is not None:
                    return exception
        self._mailbox.stop_again(runtime.cell, stop, _TURN_NS)
        return None

    def _into_running(
        self, runtime: WorkerRuntime, stop: int, frame: FrameType | None
    ) -> BaseException | None:
        """The loop stands still in this very start, or in what it waits for."""
        if place_of(frame, is_owned=True) is not Place.HANDLER:
            self._later(runtime, stop)
            return None
        runtime.struck = stop
        return _exception(stop)

    def _cancel_soon(
        self, runtime: WorkerRuntime, coroutine: asyncio.Task[None]
    ) -> None:
        """Have it cancelled as the loop turns; the first one looks whether it does."""
        runtime.cancel_ns = time.monotonic_ns()
        if not self._to_cancel:
            self._turn_ns = runtime.cancel_ns
            self._mailbox.stop_again(runtime.cell, runtime.stop, _TURN_NS)
            coroutine.get_loop().call_soon_threadsafe(self._on_turn)
        self._to_cancel.append((runtime, coroutine))

    def _on_turn(self) -> None:
        while self._to_cancel:
            runtime, coroutine = self._to_cancel.pop()
            runtime.cancel_ns = 0
            held_ns = runtime.shielded_ns()
            if held_ns:  # a shield that was entered meanwhile
                self._mailbox.stop_again(runtime.cell, runtime.stop, held_ns)
                continue
            runtime.struck = runtime.stop
            coroutine.cancel()

    def _later(self, runtime: WorkerRuntime, stop: int) -> None:
        delay_ns = min(_AGAIN_NS << runtime.tries, _AGAIN_MAX_NS)
        runtime.tries = min(runtime.tries + 1, 8)
        self._mailbox.stop_again(runtime.cell, stop, delay_ns)

    def _keep_hook(self) -> None:
        """Be told of what Python drops, whatever hook a handler has put there."""
        if sys.unraisablehook is not self._hook:
            # Each calls the one it has found: theirs may call an earlier one of ours.
            self._hook = partial(self._on_unraisable, sys.unraisablehook)
            sys.unraisablehook = self._hook

    def _on_unraisable(self, found: Callable[[Any], object], unraisable: Any) -> None:
        """Python drops an exception: if it is one of ours, it has to come again."""
        was_busy, self._is_busy = self._is_busy, True
        try:
            # Not interrupted: what is raised in a hook is dropped, and nobody is told.
            found(unraisable)
        finally:
            self._is_busy = was_busy
            if issubclass(unraisable.exc_type, (SoftTimeLimitExceeded, TaskRevoked)):
                self._come_again()

    def _come_again(self) -> None:
        context = CURRENT.get()
        runtime = None if context is None else context.runtime
        if isinstance(runtime, WorkerRuntime) and runtime.struck:
            stop, runtime.struck = runtime.struck, 0
            self._mailbox.stop_again(runtime.cell, stop, _LOST_NS)


def _main_thread() -> int:
    return threading.main_thread().ident or 0


def _exception(stop: int) -> BaseException:
    return TaskRevoked() if stop == Stop.REVOKED else SoftTimeLimitExceeded()


def _cancel_all(loop: asyncio.AbstractEventLoop, but: asyncio.Task[Any] | None) -> None:
    for task in asyncio.all_tasks(loop):
        if task is not but:
            task.cancel()
