"""Replies: from the reply ring into the handles that wait for them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from stem_actor.actor.cores import usable_cores
from stem_actor.errors import PayloadError
from stem_actor.model.error import TaskError
from stem_actor.ring.native import Status
from stem_actor.ring.producer import Kind, Reply, RingProducer
from stem_actor.ring.spool import Spool, is_claim
from stem_actor.tasks.outcome import pack_failure
from stem_actor.tasks.ports import PendingHandle

__all__ = ["Replies"]

_SPIN_NS: Final = 100_000
_SLICE_NS: Final = 100_000_000
_STRAY_NS: Final = 10_000_000
_EARLY_MAX: Final = 65_536
_NS: Final = 1_000_000_000
_CLAIM_BYTE: Final = b"\xc1"


class Replies:
    """
    Who waits for what, and who reads the ring.

    The library has no thread of its own: replies are drained by whoever enqueues or
    waits. Of many waiting threads one at a time leads and reads for all; the others
    sleep on it. Every sleep is bounded, so a lost wake-up costs 100 ms at most.

    Args:
        ring: Where replies come from.
        wake_fd: The eventfd that the supervisor writes for event loops.
        on_quiet: Called when a whole slice has passed without a reply.
        spool: Where large results are.
    """

    def __init__(
        self,
        ring: RingProducer,
        wake_fd: int,
        *,
        on_quiet: Callable[[], None],
        spool: Spool,
    ) -> None:
        self.ring = ring
        self._spool = spool
        self._wake_fd = wake_fd
        self._on_quiet = on_quiet
        self._waiting: dict[int, PendingHandle] = {}
        #: Handles on tasks that another enqueue made: their ends are asked for.
        #: By the handle's ``id``; one leaves only when it is settled.
        self.strays: dict[int, PendingHandle] = {}
        self._early: dict[int, Reply] = {}
        self._table = threading.Lock()
        self._leader = threading.Lock()
        self._moved = threading.Condition(threading.Lock())
        self._loops: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}
        self._spin_ns = spin_ns()

    @property
    def outstanding(self) -> int:
        return len(self._waiting)

    def attach(self, ticket: int, handle: PendingHandle) -> None:
        """Have *handle* settled by the reply to *ticket*."""
        with self._table:
            reply = self._early.pop(ticket, None) if self._early else None
            if reply is None:
                self._waiting[ticket] = handle
                return
        self._take(handle, reply)

    def attach_many(self, first_ticket: int, handles: Sequence[PendingHandle]) -> None:
        """The same for consecutive tickets."""
        with self._table:
            self._waiting.update(enumerate(handles, first_ticket))
            tickets = range(first_ticket, first_ticket + len(handles))
            early = [
                (self._waiting.pop(ticket), self._early.pop(ticket))
                for ticket in (tickets if self._early else ())
                if ticket in self._early
            ]
        for handle, reply in early:
            self._take(handle, reply)

    def wait(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        """Wait until *handle* is settled; False when the time is over."""
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        while not handle.is_settled:
            left = _SLICE_NS if deadline is None else deadline - time.monotonic_ns()
            if left <= 0:
                return handle.is_settled
            left = min(left, _STRAY_NS if self.strays else _SLICE_NS)
            if self._leader.acquire(blocking=False):
                try:
                    self._lead(handle, left)
                finally:
                    self._leader.release()
                    with self._moved:
                        self._moved.notify_all()
            else:
                with self._moved:
                    if not handle.is_settled and self._leader.locked():
                        self._moved.wait(left / _NS)
        return True

    async def wait_async(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        """As ``wait``, on the running loop."""
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        loop = asyncio.get_running_loop()
        while not handle.is_settled:
            left = _SLICE_NS if deadline is None else deadline - time.monotonic_ns()
            if left <= 0:
                return handle.is_settled
            future: asyncio.Future[None] = loop.create_future()
            self._listen(loop).add(future)
            try:
                self.drain_if_free()
                if handle.is_settled or self.ring.arm():
                    continue
                with suppress(TimeoutError):
                    slice_ns = _STRAY_NS if self.strays else _SLICE_NS
                    await asyncio.wait_for(future, min(left, slice_ns) / _NS)
                    continue
                self._on_quiet()
            finally:
                self._unlisten(loop, future)
        return True

    def drain_if_free(self) -> None:
        """Drain unless somebody does already."""
        if self._leader.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._leader.release()

    def abandon(self, settle: Callable[[PendingHandle], None]) -> None:
        """Settle every waiting handle by *settle*: no reply will come any more."""
        with self._table:
            handles = list(self._waiting.values())
            self._waiting.clear()
        for handle in handles:
            settle(handle)

    def settle(
        self,
        handle: PendingHandle,
        kind: int,
        attempt: int,
        starts: int,
        payload: bytes,
    ) -> None:
        """Settle *handle* by an outcome that may be a claim check."""
        if is_claim(payload):
            try:
                payload = self._spool.get(payload)
            except PayloadError as error:
                kind = Kind.FAILED
                payload = pack_failure(TaskError.from_exception(error))
        handle.settle(kind, attempt, starts, payload)

    def close(self) -> None:
        for loop in list(self._loops):
            if not loop.is_closed():
                loop.remove_reader(self._wake_fd)
        self._loops.clear()

    # --- inside

    def _lead(self, handle: PendingHandle, slice_ns: int) -> None:
        if self._drain() or handle.is_settled:
            return
        if self.ring.wait(slice_ns, spin_ns=self._spin_ns) == Status.TIMEOUT:
            self._on_quiet()
        self._drain()

    def _drain(self) -> bool:
        """Hand every reply to its handle; the caller leads."""
        some = False
        waiting = self._waiting
        while replies := self.ring.drain():
            some = True
            for reply in replies:
                ticket, kind, attempt, starts, payload = reply
                if kind == Kind.PROGRESS:
                    handle = waiting.get(ticket)
                    if handle is not None:
                        handle.progressed(payload)
                    continue
                handle = waiting.pop(ticket, None) or self._claim(reply)
                if handle is None:
                    continue
                if kind == Kind.DUPLICATE:
                    self.strays[id(handle)] = handle
                elif payload[:1] == _CLAIM_BYTE:
                    self.settle(handle, kind, attempt, starts, payload)
                else:
                    handle.settle(kind, attempt, starts, payload)
        if some and self._loops:
            self._wake_loops()
        return some

    def _claim(self, reply: Reply) -> PendingHandle | None:
        """A reply that overtook its ``attach``, or came twice after a restart."""
        with self._table:
            handle = self._waiting.pop(reply.ticket, None)
            if handle is None:
                # The oldest make room: a reply that came twice waits for ever, one
                # that overtook its attach only for a moment.
                if len(self._early) >= _EARLY_MAX:
                    del self._early[next(iter(self._early))]
                self._early[reply.ticket] = reply
            return handle

    def _take(self, handle: PendingHandle, reply: Reply) -> None:
        """Take a reply that was here before its handle."""
        _ticket, kind, attempt, starts, payload = reply
        if kind == Kind.DUPLICATE:
            self.strays[id(handle)] = handle
        else:
            self.settle(handle, kind, attempt, starts, payload)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> set[asyncio.Future[None]]:
        futures = self._loops.get(loop)
        if futures is None:
            futures = self._loops[loop] = set()
            loop.add_reader(self._wake_fd, self._on_wake)
        return futures

    def _unlisten(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]
    ) -> None:
        futures = self._loops.get(loop)
        if futures is None:
            return
        futures.discard(future)
        if not futures:
            # A loop that is closed later must not keep a reader of ours.
            del self._loops[loop]
            loop.remove_reader(self._wake_fd)

    def _on_wake(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        self.drain_if_free()
        self._wake_loops()

    def _wake_loops(self) -> None:
        for loop, futures in list(self._loops.items()):
            for future in list(futures):
                if not future.done():
                    loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def spin_ns() -> int:
    """
    Return how long a waiter spins before it sleeps, in nanoseconds.

    Not at all on a single core, which it would take from those it waits for.
    """
    return _SPIN_NS if usable_cores() >= 2 else 0
