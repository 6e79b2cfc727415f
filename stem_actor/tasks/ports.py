"""The ports of the task surface: what processes provide, and what they settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, Protocol

from stem_actor.model.status import TaskStatus
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry

__all__ = [
    "NOT_KNOWN",
    "Connection",
    "FoundHandle",
    "Interruption",
    "PendingHandle",
    "ResultSource",
    "Runtime",
    "Submitter",
]

Interruption = Literal["soft", "revoked", "drain"]
"""
Why a start is to end before its time. ``soft``: its soft limit has passed.
``revoked``: it was forbidden to go on. ``drain``: the workers are leaving; unless it
returns in time, it will be run again.
"""


class PendingHandle(Protocol):
    """The side of a handle that a ``ResultSource`` fills in; any thread may."""

    @property
    def task_id(self) -> bytes:
        """The task's 16 bytes."""
        ...

    @property
    def is_settled(self) -> bool:
        """Whether the end of the task has arrived."""
        ...

    def settle(self, kind: int, attempt: int, starts: int, payload: bytes) -> None:
        """Take the end of the task; the first one stands."""
        ...

    def progressed(self, payload: bytes) -> None:
        """Take a progress report; the last one stands."""
        ...

    def renamed(self, task_id: bytes) -> None:
        """Stand for this task: it is live, and has the same unique key."""
        ...


class FoundHandle(PendingHandle, Protocol):
    """A handle of a task that this process may never have enqueued."""

    def saw(self, status: TaskStatus | None) -> None:
        """Take the status of a task that has not ended yet; the last one stands."""
        ...


NOT_KNOWN: Final = 0
"""The kind by which a ``FoundHandle`` is settled that nobody knows; of no outcome."""


class Submitter(Protocol):
    """Takes packed tasks; *head* is a packed ``TaskHead`` without id and ticket."""

    def submit(
        self, head: bytes, body: bytes, *, queue: str, timeout_ns: int
    ) -> tuple[bytes, int]:
        """
        Submit one task; returns its id (16 bytes) and its ticket.

        Args:
            head: The packed head.
            body: The packed arguments.
            queue: Name of the queue, for the error.
            timeout_ns: Longest wait for room; 0: raise at once.

        Raises:
            QueueFull: If there was no room for as long as that.
            PayloadTooLarge: If the task can never fit.
        """
        ...

    def submit_many(
        self, head: bytes, bodies: Sequence[bytes], *, queue: str, timeout_ns: int
    ) -> tuple[list[bytes], int]:
        """
        Submit the first of *bodies*, tasks that share *head*, in order.

        Returns:
            The ids of those that were accepted, at least one, and the first ticket;
            tickets are consecutive.

        Raises:
            QueueFull: If there was no room for even one.
            PayloadTooLarge: If the first can never fit.
        """
        ...

    def stow(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        """
        Return *head* and *body* as ``submit`` takes them any number of times: it moves
        a body that is too large for the ring out of the way at each call.

        Raises:
            PayloadError: If there is no place for the body.
        """
        ...

    def discard(self, body: bytes) -> None:
        """Let go of what ``stow`` kept for a task that was not submitted after all."""
        ...


class ResultSource(Protocol):
    """What a handle is attached to."""

    def attach(self, ticket: int, handle: PendingHandle) -> None:
        """Have *handle* settled by the reply to *ticket*, also one already here."""
        ...

    def attach_many(self, first_ticket: int, handles: Sequence[PendingHandle]) -> None:
        """The same for consecutive tickets."""
        ...

    def find(self, handle: FoundHandle, patience_ns: int) -> None:
        """
        Have *handle* settled by the end of its task, whoever has enqueued that.

        Looks at once, for *patience_ns* at most, then again and again while it is
        waited for.
        """
        ...

    def lose(self, handle: FoundHandle) -> None:
        """Look for *handle* no more."""
        ...

    def wait(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        """Wait until *handle* is settled (True) or the time is over (False)."""
        ...

    async def wait_async(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        """As ``wait``, without blocking the event loop."""
        ...

    def status(self, task_id: bytes) -> TaskStatus | None:
        """Return the stored status; None for an id that is not known."""
        ...

    def revoke(self, task_id: bytes, *, terminate: bool, reason: str | None) -> bool:
        """Forbid the task to run, with *terminate* also to go on; False: too late."""
        ...

    def identify(self, task_id: bytes) -> bytes:
        """
        Return the id of the task that was submitted as *task_id*: another one's, if
        that was live and had its unique key.

        Raises:
            BrokerUnavailable: If there is no answer.
        """
        ...


class Connection(Submitter, ResultSource, Protocol):
    """
    A producer's connection to a running broker.

    Attributes:
        encoders: What decodes outcomes that are asked for by id; None: they are left
            as they are.
    """

    encoders: TaskPayloadEncoderRegistry | None

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """
        Ask the supervisor; *op* is a verb such as ``"dlq.list"``, *fields* are plain.

        Raises:
            BrokerUnavailable: If there is no answer.
        """
        ...

    def unspool(self, body: bytes) -> bytes:
        """
        Return what *body* stands for, if it is a claim check, else *body*.

        Raises:
            PayloadError: If what was spooled is no longer kept.
        """
        ...

    def close(self) -> None:
        """Close it; handles that were not settled never will be."""
        ...


class Runtime(Protocol):
    """What one start of a task may ask of its worker."""

    @property
    def submitter(self) -> Submitter | None:
        """Where children are submitted; None: as outside of any handler."""
        ...

    def progress(self, payload: bytes) -> None:
        """Forward a packed progress report."""
        ...

    def extend(self, by_ns: int) -> None:
        """Extend the lease by *by_ns*; 0 is a heartbeat."""
        ...

    @property
    def interruption(self) -> Interruption | None:
        """Why this start was asked to end before its time; None: it was not."""
        ...

    def extend_limit(self, by_ns: int) -> int:
        """Move both time limits by *by_ns* or what is allowed; returns that."""
        ...

    def shield(self, at_most_ns: int) -> AbstractContextManager[None]:
        """Return a block in which the start is not interrupted, *at_most_ns* long."""
        ...

    def facts(self) -> Mapping[str, object]:
        """Return what is known about this start so far, see ``Verdict.to_wire``."""
        ...

    def remaining_ns(self) -> int | None:
        """Return nanoseconds until its hard limit; None: it has none."""
        ...
