"""The runtime of one start: what a handler's context may ask of its worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from stem_actor.errors import PayloadError, QueueFull
from stem_actor.ring.mailbox import Grant, Mailbox
from stem_actor.ring.native import Status, raise_for
from stem_actor.ring.producer import Kind, RingProducer
from stem_actor.ring.spool import INLINE_MAX, Spool
from stem_actor.tasks.ports import Submitter

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

    def submit(
        self, head: bytes, body: bytes, *, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        deadline = self._deadline(timeout_ns)
        if len(head) + len(body) <= self._inline_max:
            return self._submit(head, body, queue, deadline)
        head, body = self.stow(head, body)
        try:
            return self._submit(head, body, queue, deadline)
        except (QueueFull, PayloadError):  # the two that say: not accepted
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
        left = deadline_ns - time.monotonic_ns()
        if left <= 0:
            raise QueueFull(queue, self._slots)
        status = self._ring.wait_room(min(left, _SLICE_NS))
        if status == Status.FOREIGN:
            raise_for(status, "enqueue")


class WorkerRuntime:
    """
    One start's way back to its worker.

    Attributes:
        is_inside: Whether user code runs right now; the soft limit raises only then.
        was_interrupted: Whether an asynchronous exception went into this start.
    """

    __slots__ = (
        "_children",
        "_grant",
        "_mailbox",
        "_soft",
        "is_inside",
        "started_ns",
        "was_interrupted",
    )

    def __init__(
        self, mailbox: Mailbox, grant: Grant, children: ChildSubmitter | None
    ) -> None:
        self._mailbox = mailbox
        self._grant = grant
        self._children = children
        self._soft = False
        self.is_inside = False
        self.was_interrupted = False
        self.started_ns = time.monotonic_ns()

    @property
    def submitter(self) -> Submitter | None:
        if self._children is not None:
            left = self.remaining_ns()
            now = time.monotonic_ns()
            self._children.until_ns = None if left is None else now + left
        return self._children

    def progress(self, payload: bytes) -> None:
        self._mailbox.report(self._grant, Kind.PROGRESS, payload)

    def extend(self, by_ns: int) -> None:
        # The lease is the worker's life: this tells that it lives, and changes no
        # limit.
        self._mailbox.report(self._grant, Kind.EXTEND, delay_ns=by_ns)

    def is_stopping(self) -> bool:
        return self._soft or self._mailbox.is_stopping(self._grant)

    def is_soft(self) -> bool:
        return self._soft

    def mark_soft(self) -> None:
        self._soft = True

    def remaining_ns(self) -> int | None:
        hard_ns = int(self._grant.raw.hard_ns)
        if not hard_ns:
            return None
        end = self.started_ns + hard_ns
        return max(0, end - time.monotonic_ns())
