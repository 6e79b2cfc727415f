"""What stands where a connection would, while there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stem_actor.errors import AppNotStarted
from stem_actor.model.status import TaskStatus
from stem_actor.tasks.ports import Connection, PendingHandle

__all__ = ["Disconnected", "not_started"]


class Disconnected:
    """
    Submitter and source that need a connection first.

    Each call asks *connect* for one and goes on with it; where there can be none,
    *connect* raises ``AppNotStarted``.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect

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

    def wait(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        return self._connect().wait(handle, timeout_ns)

    async def wait_async(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        return await self._connect().wait_async(handle, timeout_ns)

    def status(self, task_id: bytes) -> TaskStatus | None:
        return self._connect().status(task_id)

    def revoke(self, task_id: bytes, *, terminate: bool, reason: str | None) -> bool:
        return self._connect().revoke(task_id, terminate=terminate, reason=reason)

    def identify(self, task_id: bytes) -> bytes:
        return self._connect().identify(task_id)


def not_started() -> Connection:
    """Raise AppNotStarted, with the remedy."""
    raise AppNotStarted(
        "the app is not started",
        hint="use `with app:`, or call app.start() before the first enqueue",
    )
