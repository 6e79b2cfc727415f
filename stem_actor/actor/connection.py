"""The connection of a producer: its ring, its handles, its line to the supervisor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from stem_actor.actor.line import ControlLine
from stem_actor.actor.replies import Replies
from stem_actor.actor.status_view import status_of
from stem_actor.errors import BrokerUnavailable, PayloadError, QueueFull, RingError
from stem_actor.model.status import TaskStatus
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.native import Status, require
from stem_actor.ring.producer import RingProducer
from stem_actor.ring.segment import adopt_segment
from stem_actor.ring.spool import INLINE_MAX, Spool, is_claim
from stem_actor.tasks.ports import PendingHandle

__all__ = ["Connection", "attach"]

_ANSWER_S: Final = 10.0
_ROOM_SLICE_NS: Final = 10_000_000
_DRAIN_EVERY: Final = 64
_BATCH: Final = 4096


class Connection:
    """
    One process's way into one ring; safe for threads, not for children of a fork.

    When the supervisor is replaced the ring stays as it is and waits go on; only the
    control line is made anew, by the next call that notices.
    """

    def __init__(
        self, directory: RingDirectory, *, revive: Callable[[], None] | None = None
    ) -> None:
        require()
        self.directory = directory
        self.pid = os.getpid()
        self.is_closed = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._bell_fd = -1
        self._since_drain = 0
        self._line = ControlLine(directory, revive=revive)
        self._facts: dict[str, Any] = {}
        try:
            self.ring = self._connect(None)
        except BaseException:
            os.close(self._wake_fd)
            raise
        self._spool = Spool(directory.spool, self.max_payload)
        self.replies = Replies(
            self.ring, self._wake_fd, on_quiet=self._on_quiet, spool=self._spool
        )

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
                self._make_room(deadline, queue, timeout_ns)
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
            self._make_room(deadline, queue, timeout_ns)
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
        if view is not None:
            view["payload"] = self.unspool(view["payload"])
        return status_of(view)

    def revoke(self, task_id: bytes, *, terminate: bool, reason: str | None) -> bool:
        """Forbid a task to run, with *terminate* also to go on; False: too late."""
        answer = self.request("revoke", id=task_id, terminate=terminate, reason=reason)
        return bool(answer["revoked"])

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
        self._check_process()
        deadline = time.monotonic() + timeout_s
        with self._line.lock:
            while True:
                try:
                    return self._line.ask(op, fields, timeout_s, self._on_idle)
                except ConnectionError:
                    self._check_process()
                    if time.monotonic() >= deadline:
                        raise BrokerUnavailable(
                            f"no supervisor lived to answer {op!r}",
                            hint=self._line.last_words(),
                        ) from None
                self._reconnect()

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
            self.replies.close()
        else:  # a lock may be held by a thread that there is not in a child
            self._line.close()
        self.ring.close()
        os.close(self._wake_fd)

    # --- inside

    def _submit_large(
        self, head: bytes, body: bytes, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        head, claim = self._spool.stow(head, body)
        try:
            return self.submit(head, claim, queue=queue, timeout_ns=timeout_ns)
        except (QueueFull, PayloadError):  # the two that say: not accepted
            self._spool.discard(claim)
            raise

    def _make_room(self, deadline_ns: int, queue: str, timeout_ns: int) -> None:
        self.replies.drain_if_free()
        left = deadline_ns - time.monotonic_ns()
        # In an event loop nobody may be blocked: aenqueue waits, enqueue does not.
        if timeout_ns == 0 or left <= 0 or asyncio._get_running_loop() is not None:
            raise QueueFull(queue, self.slots)
        if self.ring.wait_room(min(left, _ROOM_SLICE_NS)) == Status.TIMEOUT:
            self._check_line()

    def _connect(self, ring_id: int | None) -> RingProducer:
        """Attach; returns the ring that was resumed, or a new one."""
        answer, fds = self._line.attach(self._wake_fd, ring_id)
        self._facts = answer
        ring_fd, page_fd, bell_fd = fds
        if answer["resumed"]:
            # A tree that was started again has another bell; ours would ring unheard.
            os.dup2(bell_fd, self._bell_fd, inheritable=False)
            for fd in fds:
                os.close(fd)
            return self.ring
        ring = adopt_segment(ring_fd, self.directory.path / "p.ring", writable=True)
        page = adopt_segment(page_fd, self.directory.bell, writable=True)
        self._bell_fd = bell_fd
        return RingProducer(ring, page, bell_fd, owns_bell=True)

    def _reconnect(self) -> None:
        self._check_process()  # under the line's lock: from here on nobody closes
        before = self.ring
        ring = self._connect(before.ring_id)
        if ring is not before:
            # Our ring went with its files; outcomes are still found by id.
            self.ring = self.replies.ring = ring
            self.replies.abandon(_lose)
            before.close()

    def _on_quiet(self) -> None:
        """Nothing has come for a while: is everybody still there?"""
        self._check_line()
        strays = self.replies.strays
        for handle in list(strays.values()):
            view = self.request("status", id=handle.task_id)["status"]
            if view is None:
                _lose(handle)
            elif view["kind"]:
                self.replies.settle(
                    handle,
                    view["kind"],
                    view["attempt"],
                    view["starts"],
                    view["payload"],
                )
            else:
                continue
            strays.pop(id(handle), None)

    def _on_idle(self) -> None:
        """While a request waits for its answer."""
        self._check_process()
        self.replies.drain_if_free()

    def _check_line(self) -> None:
        """Notice that the supervisor was replaced, and introduce ourselves again."""
        self._check_process()
        if not self._line.lock.acquire(blocking=False):
            return
        try:
            if self._line.is_dead():
                self._reconnect()
        finally:
            self._line.lock.release()

    def _check_process(self) -> None:
        if self.is_closed:
            raise RingError("the connection to the ring is closed")
        if self.pid != os.getpid():
            raise RingError(
                "this process was forked from the one that opened the ring",
                hint="make a StemApp of its own in the child",
            )


def attach(directory: RingDirectory) -> Connection:
    """
    Attach to a ring that another process runs.

    Raises:
        BrokerUnavailable: If nobody runs it.
    """
    if directory.owner() is None:
        raise BrokerUnavailable(
            f"no supervisor runs the ring at {directory.path}",
            hint="start the app, or run stem-actor worker",
        )
    return Connection(directory)


def _lose(handle: PendingHandle) -> None:
    """The ring was lost with everything in it: say so, rather than wait for ever."""
    handle.settle(_LOST_KIND, 0, 0, _LOST)


_LOST_KIND: Final = 3
_LOST: Final = b"\x81\xa6reason\xaflost with a ring"
