"""The connection of a producer: its ring, its handles, its line to the supervisor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any, Final

from stem_actor.actor.host.identity import identify
from stem_actor.actor.host.line import Request
from stem_actor.actor.host.meeting import Meeting
from stem_actor.actor.host.replies import Replies
from stem_actor.actor.host.seeking import Seeking
from stem_actor.actor.host.status_view import status_of
from stem_actor.actor.host.strays import Strays, checked
from stem_actor.errors import BrokerUnavailable, PayloadError, QueueFull, RingError
from stem_actor.model.status import TaskStatus
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.ring.native import Status
from stem_actor.ring.producer import RingProducer, Submitted
from stem_actor.ring.segment import adopt_segment
from stem_actor.ring.spool import INLINE_MAX, Spool, is_claim
from stem_actor.tasks.ports import PendingHandle

__all__ = ["Connection"]

_ANSWER_S: Final = 10.0
_IDLE_S: Final = 0.02
_ROOM_SLICE_NS: Final = 10_000_000
_DRAIN_EVERY: Final = 64
_BATCH: Final = 4096
#: More tasks than anybody submits through one ring.
_TICKETS: Final = 1 << 40


class Connection(Seeking):
    """
    One process's way into one ring; safe for threads, not for children of a fork.

    When the supervisor is replaced the ring stays as it is and waits go on; only the
    control line is made anew, step by step, by whoever waits or asks. No step blocks:
    every wait ends at its own deadline, and event loops go on.

    Args:
        meeting: With the supervisor; it has answered. Closed with the connection.
    """

    def __init__(self, meeting: Meeting) -> None:
        if meeting.welcome is None:
            raise ValueError("nobody has answered yet")
        self.directory = meeting.directory
        self.encoders: TaskPayloadEncoderRegistry | None = None
        self.pid = os.getpid()
        self.is_closed, self._since_drain = False, 0
        self._line, self._waker = meeting.line, meeting.waker
        self._outage = meeting.outage
        self._strays = Strays(self._line)
        self._facts, (ring_fd, page_fd, self._bell_fd) = meeting.welcome
        self.ring = self._adopt(ring_fd, page_fd)
        self._spool = Spool(self.directory.spool, self.max_payload)
        self.replies = Replies(
            self.ring,
            self._waker,
            self._strays,
            on_quiet=self._on_quiet,
            spool=self._spool,
        )
        self._waker.on_wake = self.replies.drain_if_free

    # --- Submitter

    def submit(
        self, head: bytes, body: bytes, *, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        """Submit one task: its id and its ticket."""
        if len(head) + len(body) > INLINE_MAX:
            return self._submit_large(head, body, queue, timeout_ns)
        done = self.ring.submit(head, body)
        if not done.accepted:
            deadline = time.monotonic_ns() + timeout_ns
            while not done.accepted:
                self._make_room(done, deadline, queue, timeout_ns)
                done = self.ring.submit(head, body)
        self._since_drain += 1
        if self._since_drain >= _DRAIN_EVERY:
            self._since_drain = 0
            self.replies.drain_if_free()
        return done.ids, done.first_ticket

    def submit_many(
        self, head: bytes, bodies: Sequence[bytes], *, queue: str, timeout_ns: int
    ) -> tuple[list[bytes], int]:
        """
        Submit up to 4,096 tasks in order.

        Returns:
            The ids of those that were accepted, at least one, and the first ticket.
        """
        deadline = time.monotonic_ns() + timeout_ns
        bodies = bodies[:_BATCH]
        if max(map(len, bodies)) + len(head) > INLINE_MAX:
            task_id, ticket = self.submit(
                head, bodies[0], queue=queue, timeout_ns=timeout_ns
            )
            return [task_id], ticket
        while True:
            done = self.ring.submit_many(head, bodies)
            if done.accepted:
                break
            self._make_room(done, deadline, queue, timeout_ns)
        self.replies.drain_if_free()
        ids = done.ids
        return [ids[at : at + 16] for at in range(0, 16 * done.accepted, 16)], (
            done.first_ticket
        )

    def stow(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return self._spool.stow(head, body)

    def discard(self, body: bytes) -> None:
        self._spool.discard(body)

    # --- ResultSource

    def attach(self, ticket: int, handle: PendingHandle) -> None:
        self.replies.attach(ticket, handle)

    def attach_many(self, first_ticket: int, handles: Sequence[PendingHandle]) -> None:
        self.replies.attach_many(first_ticket, handles)

    def wait(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        return self.replies.wait(handle, timeout_ns)

    async def wait_async(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        return await self.replies.wait_async(handle, timeout_ns)

    def status(self, task_id: bytes) -> TaskStatus | None:
        """Return the stored status; None for an id that is not known."""
        view = self.request("status", id=task_id)["status"]
        return status_of(view, self.unspool, self.encoders)

    def revoke(self, task_id: bytes, *, terminate: bool, reason: str | None) -> bool:
        """Forbid a task to run, with *terminate* also to go on; False: too late."""
        answer = self.request("revoke", id=task_id, terminate=terminate, reason=reason)
        return bool(answer["revoked"])

    def identify(self, task_id: bytes) -> bytes:
        return identify(self.request, task_id)

    # --- the supervisor

    def request(
        self, op: str, *, timeout_s: float = _ANSWER_S, **fields: object
    ) -> dict[str, Any]:
        """
        Ask the supervisor and return its answer.

        Raises:
            StemError: What the supervisor says.
            BrokerUnavailable: If none answers in time.
        """
        deadline = time.monotonic() + timeout_s
        request = Request(op, fields)
        try:
            while True:
                self._check_process()
                answer = self._line.exchange(request)
                if answer is not None:
                    return checked(answer)
                is_up = self._tend()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._no_answer(op, timeout_s, is_up=is_up)
                self._line.pause(min(left, _IDLE_S))
                self.replies.drain_if_free()
        finally:
            self._line.forget(request)

    def unspool(self, body: bytes) -> bytes:
        """
        Return what *body* stands for, if it is a claim check, else *body*.

        Raises:
            PayloadError: If the spool does not hold it any more.
        """
        return self._spool.get(body) if is_claim(body) else body

    @property
    def slots(self) -> int:
        return int(self._facts["slots"])

    @property
    def max_payload(self) -> int:
        return int(self._facts["maxPayload"])

    def close(self) -> None:
        """
        Leave the ring; in a child of the process that opened it, only forget.

        Other threads may be anywhere in here: their next step raises RingError.
        """
        if self.is_closed:
            return
        self.is_closed = True
        if self.pid == os.getpid():
            with self._line.lock:  # who asks meanwhile leaves at its next look
                self._line.close()
        else:  # a lock may be held by a thread that there is not in a child
            self._line.close()
        self._waker.close()
        self.ring.close()

    # --- inside

    def _submit_large(
        self, head: bytes, body: bytes, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        deadline = time.monotonic_ns() + timeout_ns
        while True:
            try:
                head, claim = self._spool.stow(head, body)
                break
            except QueueFull:
                if not self._may_wait(deadline, timeout_ns):
                    raise
            self._tend()
            time.sleep(_ROOM_SLICE_NS / 1e9)
        left_ns = min(timeout_ns, max(0, deadline - time.monotonic_ns()))
        try:
            return self.submit(head, claim, queue=queue, timeout_ns=left_ns)
        except (QueueFull, BrokerUnavailable, PayloadError):  # they say: not accepted
            self._spool.discard(claim)
            raise

    def _make_room(
        self, done: Submitted, deadline_ns: int, queue: str, timeout_ns: int
    ) -> None:
        self.replies.drain_if_free()
        if done.status == Status.STALE:
            self._await_ring(deadline_ns, timeout_ns)
            return
        if not self._may_wait(deadline_ns, timeout_ns):
            if self._tend():
                raise QueueFull(queue, self.slots, accepted=self.ring.unadmitted())
            raise BrokerUnavailable(
                f"nobody takes tasks from the ring at {self.directory.path}, "
                "and it is full",
                hint=self._line.last_words(),
            )
        left = max(0, deadline_ns - time.monotonic_ns())
        if self.ring.wait_room(min(left, _ROOM_SLICE_NS)) == Status.TIMEOUT:
            self._tend()

    def _await_ring(self, deadline_ns: int, timeout_ns: int) -> None:
        """The supervisor has given our ring up, and hung up: ask it for another."""
        before = self.ring
        self._tend()
        if self.ring is not before:
            return
        if not self._may_wait(deadline_ns, timeout_ns):
            raise BrokerUnavailable(
                "the ring of this process was found corrupt, and has no successor yet",
                hint="try again; supervisor.log names the ring, which is kept as .bad",
            )
        left_s = (deadline_ns - time.monotonic_ns()) / 1e9
        self._line.pause(max(0.0, min(left_s, _IDLE_S)))

    @staticmethod
    def _may_wait(deadline_ns: int, timeout_ns: int) -> bool:
        """In an event loop nobody is blocked: aenqueue waits, enqueue does not."""
        if timeout_ns == 0 or asyncio._get_running_loop() is not None:
            return False
        return time.monotonic_ns() < deadline_ns

    # --- the line

    def _tend(self) -> bool:
        """
        Look after the line, and take a step towards a new one if it is dead.

        Returns:
            Whether there is a supervisor at its other end.

        Raises:
            RingError: If the connection is closed, or cannot be made anew.
            BrokerUnavailable: If no supervisor can ever be there again.
        """
        self._check_process()
        line = self._line
        if line.is_up():
            self._outage.end()
            return True
        if not line.lock.acquire(blocking=False):
            return False  # another thread is at it
        try:
            self._check_process()  # from here on nobody closes
            if line.is_up():
                return True
            welcome = line.redial(self._waker.fd, self.ring.ring_id)
            if welcome is not None:
                self._resume(*welcome)
                return True
            self._outage.go_on()
        finally:
            line.lock.release()
        return False

    def _resume(self, facts: dict[str, Any], fds: list[int]) -> None:
        """Go on with the ring that the new supervisor has given us, or given back."""
        self._facts = facts
        ring_fd, page_fd, bell_fd = fds
        if facts["resumed"]:
            # A tree that was started again has another bell; ours would ring unheard.
            os.dup2(bell_fd, self._bell_fd, inheritable=False)
            for fd in fds:
                os.close(fd)
            return
        # Ours went with its files, or was corrupt; outcomes are still found by id.
        before, self._bell_fd = self.ring, bell_fd
        first = before.first_ticket + _TICKETS
        self.ring = self._adopt(ring_fd, page_fd, first)
        self.replies.move(self.ring)
        before.retire()

    def _adopt(self, ring_fd: int, page_fd: int, first_ticket: int = 1) -> RingProducer:
        ring = adopt_segment(ring_fd, self.directory.path / "p.ring", writable=True)
        page = adopt_segment(page_fd, self.directory.bell, writable=True)
        fd = self._bell_fd
        return RingProducer(ring, page, fd, owns_bell=True, first_ticket=first_ticket)

    def _no_answer(
        self, op: str, timeout_s: float, *, is_up: bool
    ) -> BrokerUnavailable:
        if is_up:
            return BrokerUnavailable(
                f"no answer to {op!r} from the supervisor in {timeout_s:g} s"
            )
        return BrokerUnavailable(
            f"no supervisor lived to answer {op!r}", hint=self._line.last_words()
        )

    # --- for the replies

    def _on_quiet(self) -> bool:
        """Nothing has come for a while: is everybody still there?"""
        is_up = self._tend()
        if is_up:
            self._seek()
        return is_up

    def _check_process(self) -> None:
        if self.is_closed:
            raise RingError("the connection to the ring is closed")
        if self.pid != os.getpid():
            raise RingError(
                "this process was forked from the one that opened the ring",
                hint="make a StemApp of its own in the child",
            )
