"""The runtime of one start: what a handler's context may ask of its worker."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from stem_actor.actor.worker.shield import Shield, ShieldCount
from stem_actor.errors import (
    PayloadError,
    QueueFull,
    SoftTimeLimitExceeded,
    TaskRevoked,
)
from stem_actor.ring.mailbox import Grant, Mailbox, Stop, Usage
from stem_actor.ring.native import Status, raise_for
from stem_actor.ring.producer import Kind, RingProducer
from stem_actor.ring.spool import INLINE_MAX, Spool
from stem_actor.tasks.ports import Interruption, Submitter

__all__ = ["ChildSubmitter", "WorkerRuntime"]

_SLICE_NS: Final = 10_000_000


class ChildSubmitter:
    """
    Enqueues from handlers, through the worker's own submit ring.

    That ring is small: what does not fit one record of it goes by the spool, as the
    large arguments of every producer do.

    Args:
        ring: The ring.
        spool: The spool of its directory.
        slots: How many tasks the whole ring holds, for the error.
    """

    def __init__(self, ring: RingProducer, spool: Spool, slots: int) -> None:
        self._ring = ring
        self._spool = spool
        self._slots = slots
        self._inline_max = min(INLINE_MAX, ring.payload_max)
        #: Monotonic time by which a wait must end: the task's own hard limit.
        self.until_ns: int | None = None
        #: Called before each wait for room; may raise an interruption.
        self.give_way: Callable[[], None] = _stay

    def submit(
        self, head: bytes, body: bytes, *, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        deadline = self._deadline(timeout_ns)
        if len(head) + len(body) <= self._inline_max:
            return self._submit(head, body, queue, deadline)
        head, body = self.stow(head, body)
        try:
            return self._submit(head, body, queue, deadline)
        except _NOT_ACCEPTED:
            self.discard(body)
            raise

    def submit_many(
        self, head: bytes, bodies: Sequence[bytes], *, queue: str, timeout_ns: int
    ) -> tuple[list[bytes], int]:
        if len(head) + max(map(len, bodies)) > self._inline_max:
            task_id, ticket = self.submit(
                head, bodies[0], queue=queue, timeout_ns=timeout_ns
            )
            return [task_id], ticket
        deadline = self._deadline(timeout_ns)
        while True:
            done = self._ring.submit_many(head, bodies)
            if done.accepted:
                ids = [done.ids[at : at + 16] for at in range(0, len(done.ids), 16)]
                return ids[: done.accepted], done.first_ticket
            self._make_room(deadline, queue)

    def stow(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return self._spool.stow(head, body, inline_max=self._inline_max)

    def discard(self, body: bytes) -> None:
        self._spool.discard(body)

    def _submit(
        self, head: bytes, body: bytes, queue: str, deadline_ns: int
    ) -> tuple[bytes, int]:
        while True:
            done = self._ring.submit(head, body)
            if done.accepted:
                return done.ids, done.first_ticket
            self._make_room(deadline_ns, queue)

    def _deadline(self, timeout_ns: int) -> int:
        deadline = time.monotonic_ns() + timeout_ns
        return deadline if self.until_ns is None else min(deadline, self.until_ns)

    def _make_room(self, deadline_ns: int, queue: str) -> None:
        self.give_way()  # nothing is half done here
        left = deadline_ns - time.monotonic_ns()
        if left <= 0:
            raise QueueFull(queue, self._slots, accepted=self._ring.unadmitted())
        status = self._ring.wait_room(min(left, _SLICE_NS))
        if status == Status.FOREIGN:
            raise_for(status, "enqueue")


class WorkerRuntime:
    """
    One start's way back to its worker.

    Attributes:
        cell: The grant cell that it holds.
        started_ns: Monotonic time of its start.
        coroutine: The asyncio task of a coroutine handler; None: a plain one.
        stop: The ``Stop`` that was asked of it; 0: none.
        struck: The ``Stop`` that has been delivered into it; 0: none.
        cancel_ns: When its loop was asked to cancel it, and has not done so yet; 0: it
            was not asked.
        tries: How often one could not be delivered at once.
        soft_stack: All threads when its soft limit struck.
        is_stocked: Whether it is known what it left behind.
        threads: Names of the threads that it left behind.
        processes: ``"name (pid)"`` of the processes.
    """

    __slots__ = (
        "_base",
        "_children",
        "_extended_ns",
        "_grant",
        "_mailbox",
        "_shields",
        "_take_stock",
        "cancel_ns",
        "cell",
        "coroutine",
        "is_stocked",
        "processes",
        "soft_stack",
        "started_ns",
        "stop",
        "strike",
        "struck",
        "threads",
        "tries",
    )

    def __init__(
        self,
        mailbox: Mailbox,
        grant: Grant,
        children: ChildSubmitter | None,
        strike: Callable[[WorkerRuntime], None],
        take_stock: Callable[[WorkerRuntime], None],
        base: Usage,
        now_ns: int,
    ) -> None:
        """
        Args:
            mailbox: The worker's.
            grant: The start.
            children: What its children are submitted by.
            strike: Delivers an interruption that a shield has held back.
            take_stock: Notes what the start has left.
            base: What the process had used before.
            now_ns: Monotonic time of the start.
        """
        self._mailbox = mailbox
        self._grant = grant
        self._children = children
        self._base = base
        self._extended_ns = 0
        self._shields: ShieldCount | None = None
        self.strike = strike
        self._take_stock = take_stock
        self.cell: int = grant.raw.cell
        self.started_ns = now_ns
        self.coroutine: asyncio.Task[None] | None = None
        self.stop = 0
        self.struck = 0
        self.cancel_ns = 0
        self.tries = 0
        self.soft_stack: str | None = None
        self.is_stocked = False
        self.threads: tuple[str, ...] = ()
        self.processes: tuple[str, ...] = ()

    @property
    def id(self) -> bytes:
        """The task's 16 bytes, then how often it was started, this start included."""
        return self._grant.task_id() + self._grant.starts.to_bytes(4)

    @property
    def submitter(self) -> Submitter | None:
        if self._children is not None:
            left = self.remaining_ns()
            now = time.monotonic_ns()
            self._children.until_ns = None if left is None else now + left
            self._children.give_way = self._give_way
        return self._children

    @property
    def interruption(self) -> Interruption | None:
        return _INTERRUPTIONS[self.stop]

    def progress(self, payload: bytes) -> None:
        self._mailbox.report(self._grant, Kind.PROGRESS, payload)

    def extend(self, by_ns: int) -> None:
        # The lease is the worker's life: this tells that it lives, and changes no
        # limit.
        self._mailbox.report(self._grant, Kind.EXTEND, delay_ns=by_ns)

    def extend_limit(self, by_ns: int) -> int:
        granted = min(by_ns, int(self._grant.raw.extension_ns) - self._extended_ns)
        if granted <= 0:
            return 0
        self._extended_ns += granted
        self._mailbox.report(self._grant, Kind.EXTEND_LIMIT, delay_ns=granted)
        return granted

    def remaining_ns(self) -> int | None:
        raw, ends = self._grant.raw, []
        if raw.hard_ns:
            ends.append(self.started_ns + int(raw.hard_ns) + self._extended_ns)
        if raw.deadline_ns:
            left = int(raw.deadline_ns) - time.time_ns()
            ends.append(time.monotonic_ns() + left)
        return max(0, min(ends) - time.monotonic_ns()) if ends else None

    def shield(self, at_most_ns: int) -> Shield:
        if self._shields is None:
            self._shields = ShieldCount(lambda: self.strike(self))
        return Shield(self._shields, at_most_ns)

    def shielded_ns(self) -> int:
        """Return how long interruptions are still held back; notes that one was."""
        if self._shields is None:
            return 0
        left = self._shields.holds_ns()
        self._shields.is_pending = left > 0
        return left

    @property
    def has_left(self) -> bool:
        """Whether it has left threads or processes behind, as far as is known."""
        return bool(self.threads or self.processes)

    def facts(self) -> Mapping[str, object]:
        """Return what is known of this start now, in the wire form of a verdict."""
        self._take_stock(self)
        used, base = self._mailbox.measure(), self._base
        facts: dict[str, object] = {
            "wallS": (time.monotonic_ns() - self.started_ns) / 1e9,
            "peakRss": used.peak_rss,
            "pid": os.getpid(),
            "worker": self._mailbox.worker,
        }
        if self.coroutine is None:  # coroutines share what the process uses
            facts["cpuS"] = (used.cpu_ns - base.cpu_ns) / 1e9
            facts["minorFaults"] = used.minor_faults - base.minor_faults
            facts["majorFaults"] = used.major_faults - base.major_faults
        if self._is_past_soft():
            facts["softExceeded"] = True
        if self.soft_stack is not None:
            facts["softStack"] = self.soft_stack
        if self.threads:
            facts["threads"] = list(self.threads)
        if self.processes:
            facts["descendants"] = list(self.processes)
        return facts

    def _give_way(self) -> None:
        """Let an interruption strike that would wait until the library is left."""
        if self.stop and not self.struck and not self.shielded_ns():
            self.strike(self)

    def _is_past_soft(self) -> bool:
        """Whether the soft limit has passed, delivered or not."""
        if self.stop == Stop.SOFT:
            return True
        soft_ns = int(self._grant.raw.soft_ns)
        took_ns = time.monotonic_ns() - self.started_ns
        return 0 < soft_ns <= took_ns - self._extended_ns


def _stay() -> None:
    """Outside of any start there is nothing to give way to."""


_NOT_ACCEPTED: Final = (QueueFull, PayloadError, SoftTimeLimitExceeded, TaskRevoked)
_INTERRUPTIONS: Final[tuple[Interruption | None, ...]] = (
    None,
    "revoked",
    "soft",
    "drain",
)
