"""Replies: from the reply ring into the handles that wait for them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from stem_actor.actor.host.strays import Strays
from stem_actor.actor.host.waker import LoopWaker
from stem_actor.actor.tree.cores import usable_cores
from stem_actor.errors import PayloadError
from stem_actor.model.error import TaskError
from stem_actor.ring.native import Status
from stem_actor.ring.producer import Kind, Reply, RingProducer
from stem_actor.ring.spool import Spool, is_claim
from stem_actor.tasks.outcome import pack_failure
from stem_actor.tasks.ports import PendingHandle

__all__ = ["Replies"]

#: How long a waiter looks for a reply before it sleeps, and a coroutine likewise.
_SPIN_NS: Final = 200_000
_POLL_NS: Final = 100_000
_SLICE_NS: Final = 100_000_000
_SHORT_NS: Final = 10_000_000
#: So many tickets may lie between a submission and the ``attach`` that belongs to it.
_AHEAD_MAX: Final = 16_384
_NS: Final = 1_000_000_000
_CLAIM_BYTE: Final = b"\xc1"
#: Answers in place of an outcome: the task is known already, or its unique key is.
_ANOTHERS: Final = frozenset({Kind.DUPLICATE, Kind.MERGED})


class Replies:
    """
    Who waits for what, and who reads the ring.

    The library has no thread of its own: replies are drained by whoever enqueues or
    waits. Of many waiting threads one at a time leads and reads for all; the others
    sleep on it. Every sleep is bounded, so a lost wake-up costs 100 ms at most.

    A new supervisor pushes every result that is kept once more. Tickets are given in
    order, so the lowest one that is not attached yet tells a repeat, which is dropped,
    from a reply that has overtaken its ``attach``, which is kept for it.

    Args:
        ring: Where replies come from.
        waker: Of the event loops that wait.
        strays: Takes the handles to which no reply will come.
        on_quiet: Called when a whole slice has passed without a reply; never waits.
            Returns whether all is well; if not, it is called more often.
        spool: Where large results are.
    """

    def __init__(
        self,
        ring: RingProducer,
        waker: LoopWaker,
        strays: Strays,
        *,
        on_quiet: Callable[[], bool],
        spool: Spool,
    ) -> None:
        self.ring = ring
        self._waker = waker
        self._strays = strays
        self._spool = spool
        self._on_quiet = on_quiet
        self._is_well = True
        self._waiting: dict[int, PendingHandle] = {}
        self._early: dict[int, Reply] = {}
        self._attached = 0  # every ticket up to this one is, or never will be
        self._ahead: set[int] = set()  # those above it that are
        self._table = threading.Lock()
        self._leader = threading.Lock()
        self._moved = threading.Condition(threading.Lock())
        self._spin_ns = spin_ns()
        self._is_polling = False

    @property
    def outstanding(self) -> int:
        return len(self._waiting)

    def attach(self, ticket: int, handle: PendingHandle) -> None:
        """Have *handle* settled by the reply to *ticket*."""
        with self._table:
            if ticket == self._attached + 1 and not self._ahead:
                self._attached = ticket
            elif not self._note(ticket, 1):
                self._strays.add((handle,))
                return
            reply = self._early.pop(ticket, None) if self._early else None
            if reply is None:
                self._waiting[ticket] = handle
                return
        self._take(handle, reply)

    def attach_many(self, first_ticket: int, handles: Sequence[PendingHandle]) -> None:
        """The same for consecutive tickets."""
        with self._table:
            if not self._note(first_ticket, len(handles)):
                self._strays.add(handles)
                return
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
            left = self._slice_ns(deadline)
            if left <= 0:
                return self._look(handle)
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
        """As ``wait``, on the running loop, which is never blocked."""
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        loop = asyncio.get_running_loop()
        if timeout_ns != 0 and await self._poll(handle):
            return True
        while not handle.is_settled:
            left = self._slice_ns(deadline)
            if left <= 0:
                return self._look(handle)
            future = self._waker.listen(loop)
            try:
                self.drain_if_free()
                if handle.is_settled or self.ring.arm():
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(future, left / _NS)
                    continue
                self._is_well = self._on_quiet()
            finally:
                self._waker.unlisten(loop, future)
        return True

    async def _poll(self, handle: PendingHandle) -> bool:
        """
        Look for a moment before the loop is asked to sleep, as ``wait`` spins.

        Between two looks every other callback of the loop runs. One coroutine at a time
        does it: it takes the replies of all.
        """
        if self._is_polling or not self._spin_ns:
            return handle.is_settled
        self._is_polling = True
        try:
            end_ns = time.monotonic_ns() + _POLL_NS
            while not handle.is_settled and time.monotonic_ns() < end_ns:
                await asyncio.sleep(0)
                if self.ring.look():
                    self.drain_if_free()
        finally:
            self._is_polling = False
        return handle.is_settled

    def drain_if_free(self) -> None:
        """Drain unless somebody does already."""
        if self._leader.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._leader.release()

    def move(self, ring: RingProducer) -> None:
        """
        Go on with another *ring*, whose tickets begin above all earlier ones.

        No reply comes to a handle that waits now: its end is asked for by id.
        """
        with self._table:
            self._strays.add(self._waiting.values())
            self._waiting.clear()
            self._early.clear()
            self._ahead.clear()
            self._attached = ring.first_ticket - 1
            self.ring = ring

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

    # --- inside

    def _slice_ns(self, deadline_ns: int | None) -> int:
        """How long to wait at once; 0 or less when the time is over."""
        calm = self._is_well and not self._strays
        slice_ns = _SLICE_NS if calm else _SHORT_NS
        if deadline_ns is None:
            return slice_ns
        return min(deadline_ns - time.monotonic_ns(), slice_ns)

    def _look(self, handle: PendingHandle) -> bool:
        """The last look of a wait, or the only one of a wait without any time."""
        self.drain_if_free()
        if not handle.is_settled:
            self._is_well = self._on_quiet()
        return handle.is_settled

    def _lead(self, handle: PendingHandle, slice_ns: int) -> None:
        if self._drain() or handle.is_settled:
            return
        if self.ring.wait(slice_ns, spin_ns=self._spin_ns) == Status.TIMEOUT:
            self._is_well = self._on_quiet()
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
                if kind in _ANOTHERS:
                    self._stray(handle, reply)
                elif payload[:1] == _CLAIM_BYTE:
                    self.settle(handle, kind, attempt, starts, payload)
                else:
                    handle.settle(kind, attempt, starts, payload)
        if some and self._waker.has_loops:
            self._waker.wake()
        return some

    def _claim(self, reply: Reply) -> PendingHandle | None:
        """A reply that overtook its ``attach``, or came twice after a restart."""
        ticket = reply.ticket
        with self._table:
            handle = self._waiting.pop(ticket, None)
            if handle is None and ticket > self._attached and ticket not in self._ahead:
                self._early[ticket] = reply
            return handle

    def _note(self, first: int, count: int) -> bool:
        """
        Note that *count* tickets from *first* on are attached; under ``_table``.

        Returns:
            False if they were given up before: their replies may have been dropped,
            so that their ends must be asked for.
        """
        if first <= self._attached:
            return False
        if first == self._attached + 1:
            self._attached += count
        else:
            self._ahead.update(range(first, first + count))
            if len(self._ahead) > _AHEAD_MAX:
                # Whoever submitted the first one missing was interrupted.
                self._attached = min(self._ahead) - 1
                for ticket in [each for each in self._early if each <= self._attached]:
                    del self._early[ticket]
        while self._attached + 1 in self._ahead:
            self._attached += 1
            self._ahead.remove(self._attached)
        return True

    def _take(self, handle: PendingHandle, reply: Reply) -> None:
        """Take a reply that was here before its handle."""
        _ticket, kind, attempt, starts, payload = reply
        if kind in _ANOTHERS:
            self._stray(handle, reply)
        else:
            self.settle(handle, kind, attempt, starts, payload)

    def _stray(self, handle: PendingHandle, reply: Reply) -> None:
        """The task is another one: its outcome goes to that one's handle."""
        if reply.kind == Kind.MERGED:
            handle.renamed(reply.payload)
        self._strays.add((handle,))


def spin_ns() -> int:
    """
    Return how long a waiter spins before it sleeps, in nanoseconds.

    Not at all on a single core, which it would take from those it waits for.
    """
    return _SPIN_NS if usable_cores() >= 2 else 0
