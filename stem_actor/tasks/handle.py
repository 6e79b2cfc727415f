"""TaskHandle: one enqueued task, as its producer sees it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from stem_actor.errors import (
    PayloadError,
    ResultTimeout,
    StemError,
    TaskCancelledError,
    TaskExpired,
    task_failure,
)
from stem_actor.ids import format_id
from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.error import TaskError
from stem_actor.model.result import TaskResult
from stem_actor.model.state import TaskState
from stem_actor.model.status import TaskStatus
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.ring.producer import Kind
from stem_actor.tasks.exceptions import ExceptionCatalog
from stem_actor.tasks.outcome import (
    EXPIRED,
    ProgressSignal,
    read_failure,
    unpack_cancellation,
    unpack_progress,
    unpack_success,
    verdict_of,
)
from stem_actor.tasks.ports import ResultSource

__all__ = ["Reader", "TaskHandle", "as_completed"]

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

_SUCCEEDED: Final = Kind.SUCCEEDED
_STATES: Final = {
    Kind.SUCCEEDED: TaskState.SUCCEEDED,
    Kind.FAILED: TaskState.FAILED,
    Kind.CANCELLED: TaskState.CANCELLED,
}
_Outcome = tuple[int, int, int, bytes]  # kind, attempt, starts, payload


class Reader(Protocol):
    """What a handle reads outcomes by; see ``OutcomeReader``."""

    @property
    def exceptions(self) -> ExceptionCatalog: ...

    @property
    def encoders(self) -> TaskPayloadEncoderRegistry | None: ...

    def value(self, payload: bytes) -> tuple[Any, object, Mapping[str, object]]: ...


class TaskHandle(Generic[R_co]):
    """
    One enqueued task.

    Usable from any thread of the process that enqueued it, and awaitable there.
    """

    __slots__ = (
        "__weakref__",
        "_outcome",
        "_progress",
        "_raw_id",
        "_reader",
        "_source",
        "_watchers",
    )

    def __init__(self, raw_id: bytes, source: ResultSource, reader: Reader) -> None:
        """Handles are made by ``enqueue``; *raw_id* is the task's 16 bytes."""
        self._raw_id = raw_id
        self._source = source
        self._reader = reader
        self._outcome: _Outcome | None = None
        self._progress: bytes | None = None
        self._watchers: list[deque[TaskHandle[Any]]] | None = None

    def __repr__(self) -> str:
        state = "settled" if self.done else "pending"
        return f"<{type(self).__name__} {format_id(self._raw_id)} {state}>"

    @property
    def id(self) -> str:
        """The task's id as text."""
        return format_id(self._raw_id)

    @property
    def done(self) -> bool:
        """Whether the end of the task has arrived here; asks nobody."""
        return self._outcome is not None

    @property
    def progress(self) -> ProgressSignal | None:
        """The last progress that has arrived here, or None."""
        payload, encoders = self._progress, self._reader.encoders
        return None if payload is None else unpack_progress(payload, encoders)

    def result(self, timeout: Duration | None = None) -> R_co:
        """
        Return what the handler returned, waiting for it.

        Args:
            timeout: Longest wait; None: until the task has ended.

        Raises:
            TaskFailedError: If the task failed; ``HardTimeLimitExceeded`` and
                ``WorkerLost`` are kinds of it.
            TaskCancelledError: If it was revoked or expired (``TaskExpired``).
            ResultTimeout: If it had not ended in time; it goes on.
            PayloadError: If the result does not fit the handler's annotation, or
                cannot be decoded.
            EncoderNotRegistered: If the app does not have its encoder.
        """
        if self._outcome is None and not self._source.wait(self, _ns(timeout)):
            raise self._late(timeout)
        return self._value()

    def wait(self, timeout: Duration | None = None) -> TaskResult[R_co]:
        """
        Return how the task ended, waiting for that; a failure is not raised.

        After *timeout* the answer has ``timed_out`` set.
        """
        if self._outcome is None and not self._source.wait(self, _ns(timeout)):
            known = self._last_status()
            return TaskResult(format_id(self._raw_id), known, timed_out=True)
        return self._result()

    async def aresult(self, timeout: Duration | None = None) -> R_co:
        """As ``result``, without blocking the event loop."""
        if not await self._settled_async(timeout):
            raise self._late(timeout)
        return self._value()

    async def await_(self, timeout: Duration | None = None) -> TaskResult[R_co]:
        """As ``wait``, without blocking the event loop."""
        if not await self._settled_async(timeout):
            known = self._last_status()
            return TaskResult(format_id(self._raw_id), known, timed_out=True)
        return self._result()

    def __await__(self) -> Generator[Any, None, R_co]:
        return self.aresult().__await__()

    def status(self) -> TaskStatus | None:
        """Return the task's status; None if nothing is kept of it any more."""
        if self._outcome is not None:
            return self._status(self._outcome)
        return self._source.status(self._raw_id)

    def revoke(self, *, terminate: bool = False, reason: str | None = None) -> bool:
        """
        Forbid the task to run.

        Args:
            terminate: Also stop it if it runs already.
            reason: Kept with the record.

        Returns:
            Whether it will not run, or is being stopped; False: it had ended, or
            runs and *terminate* is not set.
        """
        return self._source.revoke(self._raw_id, terminate=terminate, reason=reason)

    # --- the side of the result source

    @property
    def task_id(self) -> bytes:
        """The task's 16 bytes."""
        return self._raw_id

    @property
    def is_settled(self) -> bool:
        """As ``done``."""
        return self._outcome is not None

    def settle(self, kind: int, attempt: int, starts: int, payload: bytes) -> None:
        """Take the end of the task; a second one is ignored."""
        if self._outcome is not None:
            return  # a supervisor that came back may push an outcome again
        self._outcome = (kind, attempt, starts, payload)
        for watcher in self._watchers or ():
            watcher.append(self)

    def progressed(self, payload: bytes) -> None:
        """Take a progress report; only the last one is kept."""
        self._progress = payload

    def renamed(self, task_id: bytes) -> None:
        """Stand for this task from now on."""
        self._raw_id = task_id

    def _watch(self, watcher: deque[TaskHandle[Any]]) -> None:
        """Have this handle appended to *watcher*, at least once, when it is settled."""
        self._watchers = [*(self._watchers or ()), watcher]
        if self._outcome is not None:
            watcher.append(self)

    # --- reading an outcome

    async def _settled_async(self, timeout: Duration | None) -> bool:
        if self._outcome is not None:
            return True
        return await self._source.wait_async(self, _ns(timeout))

    def _late(self, timeout: Duration | None) -> ResultTimeout:
        return ResultTimeout(format_id(self._raw_id), (_ns(timeout) or 0) / 1e9)

    def _last_status(self) -> TaskStatus | None:
        """Return what is known here of a task that has not ended."""
        return None

    def _known(self) -> _Outcome:
        if self._outcome is None:
            raise StemError(f"task {self.id} was said to have ended, but has not")
        return self._outcome

    def _value(self) -> R_co:
        kind, _attempt, _starts, payload = self._known()
        if kind == _SUCCEEDED:
            value: R_co = self._reader.value(payload)[0]
            return value
        if kind == Kind.FAILED:
            error, _kept = read_failure(payload, self._reader.encoders)
            raise self._failure(error)
        if kind == Kind.CANCELLED:
            raise self._cancellation(payload)
        raise self._unexpected(kind)

    def _failure(self, error: TaskError) -> Exception:
        return task_failure(self.id, error, self._reader.exceptions.rebuild(error))

    def _cancellation(self, payload: bytes) -> TaskCancelledError:
        reason, detail = unpack_cancellation(payload)
        if reason == EXPIRED:
            return TaskExpired(self.id)
        return TaskCancelledError(
            self.id, reason if detail is None else f"{reason} ({detail})"
        )

    def _result(self) -> TaskResult[R_co]:
        outcome = self._known()
        if outcome[0] != _SUCCEEDED:
            return TaskResult(self.id, self._status(outcome))
        value: R_co
        value, raw, meta = self._reader.value(outcome[3])
        status = self._succeeded(outcome, raw, meta)
        return TaskResult(self.id, status, value, raw)

    def _status(self, outcome: _Outcome) -> TaskStatus:
        kind, attempt, starts, payload = outcome
        if kind not in _STATES:
            raise self._unexpected(kind)
        if kind == _SUCCEEDED:
            stored, kept = unpack_success(payload, self._reader.encoders)
            return self._succeeded(outcome, stored, kept)
        error: TaskError | None = None
        meta: Mapping[str, object]
        if kind == Kind.FAILED:
            error, meta = read_failure(payload, self._reader.encoders)
            verdict = error.verdict
        else:
            reason, detail = unpack_cancellation(payload)
            meta = {"reason": reason} | ({} if detail is None else {"detail": detail})
            verdict = verdict_of(kind, payload)
        return TaskStatus(
            self.id,
            _STATES[kind],
            None,
            error,
            meta,
            attempt,
            starts,
            verdict=verdict,
        )

    def _succeeded(
        self, outcome: _Outcome, stored: object, meta: Mapping[str, object]
    ) -> TaskStatus:
        kind, attempt, starts, payload = outcome
        return TaskStatus(
            self.id,
            TaskState.SUCCEEDED,
            stored,
            None,
            meta,
            attempt,
            starts,
            verdict=verdict_of(kind, payload),
        )

    def _unexpected(self, kind: int) -> StemError:
        if kind == Kind.DUPLICATE:
            return StemError(
                f"a task with the id {self.id} was enqueued before",
                hint="read that one by app.status(id), or use a fresh task_id",
            )
        return PayloadError(f"task {self.id} ended as kind {kind}", path="payload")


class _FirstOf:
    """Settled as soon as one of the watched handles is; waits for many as for one."""

    def __init__(self, arrived: deque[TaskHandle[Any]]) -> None:
        self._arrived = arrived

    @property
    def task_id(self) -> bytes:
        """Of no task."""
        return bytes(16)

    @property
    def is_settled(self) -> bool:
        return bool(self._arrived)

    def settle(self, kind: int, attempt: int, starts: int, payload: bytes) -> None:
        """Never called: it is attached to no ticket."""

    def progressed(self, payload: bytes) -> None:
        """Never called, likewise."""

    def renamed(self, task_id: bytes) -> None:
        """Never called, likewise."""


def as_completed(
    handles: Iterable[TaskHandle[R]], *, timeout: Duration | None = None
) -> Iterator[TaskHandle[R]]:
    """
    Yield each of *handles* once, in the order in which the tasks end.

    Args:
        handles: Handles of one app.
        timeout: Longest time for all of them together; None: no bound.

    Raises:
        ResultTimeout: If some had not ended in time; it names one of them.
        ValueError: If the handles belong to more than one app.
    """
    pending = {id(handle): handle for handle in handles}
    sources = {id(handle._source): handle._source for handle in pending.values()}
    if len(sources) > 1:
        raise ValueError("as_completed takes the handles of one app")
    timeout_ns = _ns(timeout)
    end_ns = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
    return _completed(pending, end_ns, timeout_ns)


def _completed(
    pending: dict[int, TaskHandle[R]], end_ns: int | None, timeout_ns: int | None
) -> Iterator[TaskHandle[R]]:
    arrived: deque[TaskHandle[Any]] = deque()
    for handle in pending.values():
        handle._watch(arrived)
    while pending:
        while arrived:
            done = pending.pop(id(arrived.popleft()), None)
            if done is not None:  # a handle may have been appended twice
                yield done
        if not pending:
            return
        some = next(iter(pending.values()))
        left_ns = None if end_ns is None else max(0, end_ns - time.monotonic_ns())
        if not some._source.wait(_FirstOf(arrived), left_ns) and not arrived:
            raise ResultTimeout(some.id, (timeout_ns or 0) / 1e9)


def _ns(timeout: Duration | None) -> int | None:
    return None if timeout is None else to_ns(timeout, "timeout")
