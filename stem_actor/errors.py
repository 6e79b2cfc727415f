"""
Every error of stem_actor, in one tree and on one page.

An error is built from facts; its message is derived from them, and the facts stay
readable as attributes. ``str()`` gives one line that ends with what to change.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stem_actor.model.ending import RetryRequested
    from stem_actor.model.error import TaskError


class StemError(Exception):
    """
    Base of every error that stem_actor raises on purpose.

    Attributes:
        message: What is wrong.
        hint: What to change; None where nobody can know.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        text = self.message if self.hint is None else f"{self.message}; {self.hint}"
        return " ".join(text.splitlines())

    def __reduce__(self) -> tuple[object, ...]:
        # The constructors take facts, not ``args``; Exception's own way would call
        # them with the message, and no error could cross a process.
        return _rebuild, (type(self), self.args, vars(self))

    @property
    def fields(self) -> Mapping[str, object]:
        """The facts of this error by name, for logs and ``--json``."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("message", "hint") and not name.startswith("_")
        }


class SettingsError(StemError):
    """A setting, option or handler cannot work; ``problems`` holds all of them."""

    def __init__(self, problems: Iterable[str], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems), hint=hint)


class AppNotStarted(StemError):
    """A verb that needs running workers was used before ``start`` or after ``stop``."""


class TaskNotRegistered(StemError):
    """A task was enqueued by a name that this app does not know."""

    def __init__(self, name: str, *, known: Iterable[str] = ()) -> None:
        self.name = name
        hint = _nearest(name, known) or "register it, or enqueue it by its definition"
        super().__init__(f"no task is registered as {name!r}", hint=hint)


class DuplicateTask(StemError):
    """Two handlers were registered under one name."""

    def __init__(self, name: str, *, where: str | None = None) -> None:
        self.name = name
        self.where = where
        place = "" if where is None else f" at {where}"
        super().__init__(
            f"a task named {name!r} is already registered{place}",
            hint="give one of them another name",
        )


class HandlerNotImportable(StemError):
    """A worker that imports its handlers and hooks cannot find this one by its name."""

    def __init__(self, name: str, *, reason: str, what: str = "handler of") -> None:
        self.name = name
        self.reason = reason
        super().__init__(
            f"the {what} {name!r} cannot be imported: {reason}",
            hint="define it at the top level of a module",
        )


class EncoderNotRegistered(StemError):
    """A payload names an encoder that this process does not have."""

    def __init__(self, encoder_id: str, *, known: Iterable[str] = ()) -> None:
        self.encoder_id = encoder_id
        names = ", ".join(sorted(known))
        super().__init__(
            f"no payload encoder is registered as {encoder_id!r}",
            hint=f"known here: {names}" if names else "pass it as additional_encoders",
        )


class WorkflowsNotAttached(StemError):
    """A workflow verb was used where no workflow runtime is attached."""


class PayloadError(StemError):
    """A value has no wire form, or bytes or a map are not what was expected."""

    def __init__(self, message: str, *, path: str, hint: str | None = None) -> None:
        self.path = path
        super().__init__(message, hint=hint)


class PayloadTooLarge(PayloadError):
    """An encoded payload is larger than the engine accepts; sizes in bytes."""

    def __init__(
        self,
        size: int,
        limit: int,
        *,
        path: str = "args",
        hint: str = "pass a reference to the data, or raise max_payload",
    ) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"{path} takes {size:,} bytes, {limit:,} are allowed",
            path=path,
            hint=hint,
        )


class PayloadVersionError(PayloadError):
    """A versioned payload carries no version, or one that nothing here can read."""

    def __init__(
        self,
        version: object,
        *,
        known: Iterable[int],
        key: str = "__stemPayloadVersion",
        path: str = "args",
    ) -> None:
        self.version = version
        self.key = key
        self.known = tuple(sorted(known))
        super().__init__(
            f"{path} has {key} {version!r}; known are {list(self.known)}",
            path=path,
            hint="register an upgrade from that version",
        )


class QueueFull(StemError):
    """No room for another task, for as long as ``enqueue`` was allowed to wait."""

    def __init__(self, queue: str, limit: int, of: str = "", accepted: int = 0) -> None:
        self.queue, self.limit, self.accepted = queue, limit, accepted
        hint = f"raise enqueue_timeout{'' if of else ' or slots'}, or add workers"
        of = of or f"slots, and {accepted:,} accepted tasks wait for one here"
        super().__init__(f"queue {queue!r} is full: {limit:,} {of}", hint=hint)


class BrokerError(StemError):
    """The broker answered with an error."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached, or has gone."""


class LeaseLost(BrokerError):
    """The time on a delivery ran out, and the broker has given it to another."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(
            f"the lease on task {task_id} was lost",
            hint="raise visibility_timeout or call heartbeat() more often",
        )


class BackendError(StemError):
    """The result backend answered with an error, or cannot be reached."""


class ResultExpired(BackendError):
    """A handle asked for a result that was kept for ``result_ttl`` and is gone."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(
            f"the result of task {task_id} is no longer kept",
            hint="read it sooner, or raise result_ttl or slots",
        )


class ResultTimeout(StemError, TimeoutError):
    """A wait ended before its task did; the task goes on."""

    def __init__(
        self, task_id: str, timeout: float, *, state: str | None = None
    ) -> None:
        self.task_id = task_id
        self.timeout = timeout
        self.state = state
        last = "" if state is None else f"; it is {state}"
        super().__init__(f"task {task_id} has not ended within {timeout:g} s{last}")


class TaskFailedError(StemError):
    """
    The task has failed for good.

    Attributes:
        task_id: Its id.
        error: The stored error.
        cause: The handler's exception rebuilt here, if its class is registered.
    """

    def __init__(
        self, task_id: str, error: TaskError, cause: BaseException | None = None
    ) -> None:
        self.task_id = task_id
        self.error = error
        self.cause = cause
        super().__init__(f"task {task_id} failed: {error.type}: {error.message}")
        self.__cause__ = cause
        if error.stack is not None:
            self.add_note(f"In the worker:\n{error.stack}")


class HardTimeLimitExceeded(TaskFailedError, TimeoutError):
    """The task ran into its hard time limit and was killed, for the last time."""


class WorkerLost(TaskFailedError):
    """
    The worker died under the task, for the last time.

    Attributes:
        signal: Number of the signal that ended the worker, if one did.
        exit_status: The worker's exit status, if it exited.
        oom: Whether the kernel killed it for want of memory.
    """

    def __init__(
        self, task_id: str, error: TaskError, cause: BaseException | None = None
    ) -> None:
        signal, status = error.meta.get("signal"), error.meta.get("exitStatus")
        self.signal = signal if isinstance(signal, int) else None
        self.exit_status = status if isinstance(status, int) else None
        self.oom = error.meta.get("oom") is True
        super().__init__(task_id, error, cause)


class TaskCancelledError(StemError):
    """The task was revoked, or its ring was stopped before it started."""

    def __init__(self, task_id: str, reason: str | None = None) -> None:
        self.task_id = task_id
        self.reason = reason
        why = "" if reason is None else f": {reason}"
        super().__init__(f"task {task_id} was cancelled{why}")


class TaskExpired(TaskCancelledError):
    """The task was not started before its ``expires``."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id, "it expired before it was started")


class CanvasError(StemError):
    """A canvas tree is wrong, or failed as a whole."""


class ChainFailed(CanvasError):
    """A step of a chain failed, expired or was revoked; *index* is 0-based."""

    def __init__(self, index: int, task_id: str) -> None:
        self.index = index
        self.task_id = task_id
        super().__init__(f"step {index} of the chain failed: task {task_id}")


class ChordFailed(CanvasError):
    """A member of a chord's body failed, so its callback will not run."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"a member of the chord failed: task {task_id}")


class RingError(StemError):
    """The shared-memory ring cannot be created, attached or used."""


class RingCorrupt(RingError):
    """The ring's files do not pass their checks."""


class RingVersionMismatch(RingError):
    """The ring's files were written by another layout version."""

    def __init__(self, found: int, expected: int) -> None:
        self.found = found
        self.expected = expected
        super().__init__(
            f"the ring has layout version {found}, this build reads {expected}",
            hint="use the version that created it, or another ring name",
        )


class RingInUse(RingError):
    """Another supervisor owns the ring; ``pid`` is that process, 0 if unknown."""

    def __init__(self, pid: int, *, path: str) -> None:
        self.pid = pid
        self.path = path
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            f"the ring at {path} is run by {owner}",
            hint="stop that process, or attach to the ring as a producer",
        )


class TaskRetryRequest(BaseException):
    """
    Raised by ``context.retry``; ends the attempt.

    A BaseException, so that no ``except Exception`` of a handler swallows it.
    """

    def __init__(self, request: RetryRequested) -> None:
        super().__init__("the handler asked for a retry")
        self.request = request


class SoftTimeLimitExceeded(BaseException):
    """
    Raised in a handler when its soft time limit has passed.

    A BaseException, so that only code that means it catches it. It can be built
    without arguments, because the interpreter does that when it raises one
    asynchronously.
    """

    def __init__(self, limit: float | None = None) -> None:
        """*limit* is the soft limit in seconds, if the raiser knows it."""
        bound = "" if limit is None else f" of {limit:g} s"
        super().__init__(f"soft time limit{bound} exceeded")
        self.limit = limit


class TaskRevoked(BaseException):
    """Raised in a handler whose task was revoked with ``terminate=True``."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__("task revoked" if reason is None else reason)
        self.reason = reason


def task_failure(
    task_id: str, error: TaskError, cause: BaseException | None = None
) -> TaskFailedError:
    """
    Return the error that a handle raises for a task that ended with *error*.

    Hard limits and lost workers have classes of their own.
    """
    own = error.bases[0] if error.bases else ""
    for cls in (HardTimeLimitExceeded, WorkerLost):
        if own == f"{__name__}.{cls.__name__}":
            return cls(task_id, error, cause)
    return TaskFailedError(task_id, error, cause)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else None


def _rebuild(
    cls: type[StemError], args: tuple[object, ...], state: dict[str, object]
) -> StemError:
    error = cls.__new__(cls)
    error.args = args
    vars(error).update(state)
    return error
