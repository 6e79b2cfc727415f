"""TaskContext: what a handler may know of its task, and ask of its worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar

from stem_actor.errors import TaskRetryRequest
from stem_actor.ids import format_id
from stem_actor.model.duration import Duration, to_ns, to_wall_ns
from stem_actor.model.ending import RetryRequested
from stem_actor.model.retry_policy import TaskRetryPolicy, check_retries
from stem_actor.payload.codec import versioned
from stem_actor.payload.encoder_registry import PLAIN, TaskEncoders
from stem_actor.payload.lowering import lower
from stem_actor.ring.record import LIMIT_MAX_NS
from stem_actor.tasks.arguments import ArgumentReaders
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.delivery import Delivery
from stem_actor.tasks.finder import TaskFinder
from stem_actor.tasks.found import FoundTask
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.outcome import pack_progress
from stem_actor.tasks.ports import Interruption, Runtime
from stem_actor.tasks.producing import Producing

__all__ = ["CURRENT", "TaskContext"]

V = TypeVar("V")

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})

CURRENT: Final[ContextVar[TaskContext | None]] = ContextVar(
    "stem_actor_context", default=None
)


class TaskContext(ArgumentReaders, Producing):
    """
    The task that is running here.

    A handler gets it as its first parameter, if it is annotated as such; code below
    the handler finds it by ``TaskContext.current()``.

    Attributes:
        name: The task's name.
        delivery: The start that this is.
        runtime: The worker's side of it.
        encoders: What its task is encoded by.
    """

    __slots__ = (
        "_args",
        "_enqueuer",
        "_headers",
        "_meta",
        "_received",
        "delivery",
        "encoders",
        "name",
        "runtime",
    )

    def __init__(
        self,
        name: str,
        delivery: Delivery,
        runtime: Runtime,
        enqueuer: TaskFinder,
        encoders: TaskEncoders = PLAIN,
    ) -> None:
        """Contexts are made by the engine, one for each start."""
        self.name = name
        self.delivery = delivery
        self.runtime = runtime
        self.encoders = encoders
        self._enqueuer = enqueuer
        self._args: Mapping[str, object] = _NONE
        self._headers: Mapping[str, str] = _NONE
        self._meta: dict[str, object] | None = None
        self._received: Mapping[str, object] = _NONE

    @staticmethod
    def current() -> TaskContext | None:
        """Return the context of the handler that this code runs in, or None."""
        return CURRENT.get()

    # --- facts

    @property
    def id(self) -> str:
        """The task's id as text; the same for all its attempts."""
        return format_id(self.delivery.task_id)

    @property
    def attempt(self) -> int:
        """0-based number of the try."""
        return self.delivery.attempt

    @property
    def queue(self) -> str:
        """The queue that the task came from."""
        return self.delivery.head.queue

    @property
    def args(self) -> Mapping[str, object]:
        """The arguments by name, as they crossed the wire."""
        return self._args

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that the task was enqueued with."""
        return self._headers

    @property
    def meta(self) -> dict[str, object]:
        """Facts kept with the task; what the handler writes here is kept too."""
        if self._meta is None:
            self._meta = dict(self._received)
        return self._meta

    @property
    def written_meta(self) -> Mapping[str, object] | None:
        """The meta if the handler has changed it, else None."""
        if self._meta is None or self._meta == self._received:
            return None
        return self._meta

    @property
    def interruption(self) -> Interruption | None:
        """
        Why this start is to end before its time; None: it is not.

        ``"soft"``: its soft limit has passed; ``"revoked"``: it was revoked with
        ``terminate=True``; ``"drain"``: the workers are leaving, and unless it returns
        it will be run again. A plain handler gets an exception, a coroutine is
        cancelled; this tells them why.
        """
        return self.runtime.interruption

    def remaining(self) -> float | None:
        """Return the seconds left until the hard limit; None: there is none."""
        left_ns = self.runtime.remaining_ns()
        return None if left_ns is None else left_ns / 1e9

    def receive(
        self,
        args: Mapping[str, object],
        headers: Mapping[str, str] = _NONE,
        meta: Mapping[str, object] = _NONE,
    ) -> None:
        """Take what the body holds; called before the handler is."""
        self._args = args
        self._headers = headers
        self._received = meta

    # --- requests to the worker

    def heartbeat(self) -> None:
        """Say that the handler is alive: the lease gets its full length again."""
        self.runtime.extend(0)

    def extend_lease(self, by: Duration) -> None:
        """Extend the lease by *by*."""
        self.runtime.extend(to_ns(by, "by"))

    def extend_limit(self, by: Duration) -> float:
        """
        Move the soft and the hard limit of this start by *by*.

        Both together at most by the task's ``max_extension``; without one, by
        nothing. Never past the deadline.

        Returns:
            The seconds that were added.
        """
        return self.runtime.extend_limit(to_ns(by, "by")) / 1e9

    def shield(self, at_most: Duration = 10) -> AbstractContextManager[None]:
        """
        Return a block that the soft limit, a revoke or a drain does not interrupt.

        For what has to be whole: a commit, the rename of a file. What was held back
        strikes when the block is left, or after *at_most*, whichever comes first. The
        hard limit is never held back.
        """
        return self.runtime.shield(to_ns(at_most, "at_most"))

    def progress(self, percent: float, data: object = None) -> None:
        """
        Tell whoever holds the handle how far the task is.

        Raises:
            ValueError: If *percent* is not in 0..100.
            PayloadError: If a part of *data* has no wire form, or its encoder fails.
            PayloadTooLarge: If the report takes more than 4,096 bytes.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percent must be in 0..100, not {percent}")
        self.runtime.progress(pack_progress(percent, data, self.encoders.result))

    def progress_json(self, percent: float, dto: object) -> None:
        """As ``progress``, with a DTO as data; read it by ``signal.payload_json``."""
        self.progress(percent, lower(dto, path="data"))

    def progress_versioned_json(
        self, percent: float, dto: object, *, version: int
    ) -> None:
        """As ``progress_json``; the map says that it is of *version* of its schema."""
        self.progress(percent, versioned(dto, version, path="data"))

    def retry(
        self,
        *,
        countdown: Duration | None = None,
        eta: datetime | None = None,
        retry_policy: TaskRetryPolicy | None = None,
        max_retries: int | None = None,
        time_limit: Duration | None = None,
        soft_time_limit: Duration | None = None,
    ) -> NoReturn:
        """
        End this attempt and ask for another one.

        Without a time it starts after the delay of the policy in force, else at once.
        Once the retries are used up, the task fails instead.

        Args:
            countdown: Earliest start of the next attempt, from now.
            eta: Earliest start as an instant; beats *countdown*.
            retry_policy: Policy for this and all later attempts.
            max_retries: Tries after the first one, from now on.
            time_limit: Hard limit of the next attempts.
            soft_time_limit: Soft limit of the next attempts.

        A limit that is not named stays as it is; both stay for all later attempts.

        Raises:
            TaskRetryRequest: Always; let it pass.
            ValueError: If a value is out of range: limits are above 0, at most three
                days, and the soft one is not above the hard one.
        """
        if max_retries is not None:
            check_retries(max_retries)
        hard_ns, soft_ns = self._next_limits(time_limit, soft_time_limit)
        request = RetryRequested(
            countdown_ns=None if countdown is None else to_ns(countdown, "countdown"),
            eta_ns=None if eta is None else to_wall_ns(eta, "eta"),
            retry_policy=retry_policy,
            max_retries=max_retries,
            time_limit_ns=hard_ns,
            soft_time_limit_ns=soft_ns,
        )
        raise TaskRetryRequest(request)

    def _next_limits(
        self, hard: Duration | None, soft: Duration | None
    ) -> tuple[int | None, int | None]:
        """Return hard and soft limit of the next attempts; None: as in the record."""
        if hard is None and soft is None:
            return None, None
        hard_ns = (
            self.delivery.hard_ns if hard is None else _limit_ns(hard, "time_limit")
        )
        soft_ns = self.delivery.soft_ns
        if soft is not None:
            soft_ns = _limit_ns(soft, "soft_time_limit")
        if hard_ns and soft_ns > hard_ns:
            raise ValueError(
                f"the soft time limit of {soft_ns / 1e9:g} s must not be above the "
                f"hard one of {hard_ns / 1e9:g} s; name both"
            )
        return hard_ns or None, soft_ns or None

    # --- children

    spawn = Producing.enqueue

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        return self._enqueuer.enqueue_call(call)

    def _find(self, task_id: str, decode: Callable[[Any], V]) -> FoundTask[V]:
        return self._enqueuer.find(task_id, decode)


def _limit_ns(limit: Duration, name: str) -> int:
    limit_ns = to_ns(limit, name)
    if not 0 < limit_ns <= LIMIT_MAX_NS:
        raise ValueError(f"{name} must be above 0 and at most three days, not {limit}")
    return limit_ns
