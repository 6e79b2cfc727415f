"""What stands where a connection would, while there is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Protocol

from stem_actor.errors import AppNotStarted, BrokerUnavailable
from stem_actor.model.status import TaskStatus
from stem_actor.tasks.ports import Connection, FoundHandle, PendingHandle

__all__ = ["Connect", "Disconnected", "not_started"]

#: Between two steps towards a supervisor, in an event loop.
_STEP_S: Final = 0.01
_ANSWER_NS: Final = 10 * 10**9


class Connect(Protocol):
    """How a connection is come by."""

    def __call__(self, *, patiently: bool = True) -> Connection:
        """
        Return a connection; not *patiently*: take a step towards one, without a wait.

        Raises:
            AppNotStarted: If there is nothing to connect to.
            BrokerUnavailable: If nobody is there, or there was no answer yet.
        """
        ...


class Disconnected:
    """
    Submitter and source that need a connection first.

    Each call asks *connect* for one and goes on with it; where there can be none,
    *connect* raises ``AppNotStarted``.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def approach(self) -> None:
        """
        Take a step towards a connection; never waits.

        Raises:
            BrokerUnavailable: As long as there is none.
        """
        self._connect(patiently=False)

    def submit(
        self, head: bytes, body: bytes, *, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        connection = self._connect()
        return connection.submit(head, body, queue=queue, timeout_ns=timeout_ns)

    def submit_many(
        self, head: bytes, bodies: Sequence[bytes], *, queue: str, timeout_ns: int
    ) -> tuple[list[bytes], int]:
        connection = self._connect()
        return connection.submit_many(head, bodies, queue=queue, timeout_ns=timeout_ns)

    def stow(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return self._connect().stow(head, body)

    def discard(self, body: bytes) -> None:
        self._connect().discard(body)

    def attach(self, ticket: int, handle: PendingHandle) -> None:
        self._connect().attach(ticket, handle)

    def attach_many(self, first_ticket: int, handles: Sequence[PendingHandle]) -> None:
        self._connect().attach_many(first_ticket, handles)

    def find(self, handle: FoundHandle, patience_ns: int) -> None:
        self._connect().find(handle, patience_ns)

    def lose(self, handle: FoundHandle) -> None:
        self._connect().lose(handle)

    def wait(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        return self._connect().wait(handle, timeout_ns)

    async def wait_async(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        """
        As ``wait``; False, too, if nobody has answered in that time.

        Raises:
            BrokerUnavailable: If nobody has answered for 10 s.
        """
        began_ns = time.monotonic_ns()
        while True:
            try:
                connection = self._connect(patiently=False)
                break
            except BrokerUnavailable:
                waited_ns = time.monotonic_ns() - began_ns
                if timeout_ns is not None and waited_ns >= timeout_ns:
                    return False
                if waited_ns >= _ANSWER_NS:
                    raise
            await asyncio.sleep(_STEP_S)
        waited_ns = time.monotonic_ns() - began_ns
        left_ns = None if timeout_ns is None else max(0, timeout_ns - waited_ns)
        return await connection.wait_async(handle, left_ns)

    def status(self, task_id: bytes) -> TaskStatus | None:
        return self._connect().status(task_id)

    def revoke(self, task_id: bytes, *, terminate: bool, reason: str | None) -> bool:
        return self._connect().revoke(task_id, terminate=terminate, reason=reason)

    def identify(self, task_id: bytes) -> bytes:
        return self._connect().identify(task_id)


def not_started(*, patiently: bool = True) -> Connection:
    """Raise AppNotStarted, with the remedy."""
    raise AppNotStarted(
        "the app is not started",
        hint="use `with app:`, or call app.start() before the first enqueue",
    )
