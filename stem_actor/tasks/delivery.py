"""Delivery: one hand-over of a task to a worker."""

from __future__ import annotations

from collections.abc import Callable

from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.ring.record import TaskHead

__all__ = ["Delivery"]


class Delivery:
    """
    One start of a task.

    A plain class: it is made once for each start, and a frozen dataclass would take
    three times as long.

    Attributes:
        task_id: The task's 16 bytes.
        attempt: 0-based number of the try.
        starts: How often the handler was started, this start included.
        kind: What *body* is: ``ring.record.ARGS`` or ``ARGS_HEADERS_META``.
        body: The packed arguments.
        flags: The flags of the head; only IGNORE_RESULT is looked at here.
        load_head: Returns the whole head; called when it is needed, at most once.
        max_retries: A number that an earlier attempt asked for; None: the head's.
        load_policy: Returns the policy that an earlier attempt asked for; None: the
            head's is in force.
        soft_ns: The soft limit in force; 0: none.
        hard_ns: The hard limit in force; 0: none.
    """

    __slots__ = (
        "_head",
        "attempt",
        "body",
        "flags",
        "hard_ns",
        "kind",
        "load_head",
        "load_policy",
        "max_retries",
        "soft_ns",
        "starts",
        "task_id",
    )

    def __init__(
        self,
        task_id: bytes,
        attempt: int,
        starts: int,
        kind: int,
        body: bytes,
        load_head: Callable[[], TaskHead],
        flags: int = 0,
        max_retries: int | None = None,
        load_policy: Callable[[], TaskRetryPolicy | None] | None = None,
        soft_ns: int = 0,
        hard_ns: int = 0,
    ) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.starts = starts
        self.kind = kind
        self.body = body
        self.flags = flags
        self.load_head = load_head
        self.max_retries = max_retries
        self.load_policy = load_policy
        self.soft_ns = soft_ns
        self.hard_ns = hard_ns
        self._head: TaskHead | None = None

    @property
    def head(self) -> TaskHead:
        """The whole head, decoded at its first use."""
        if self._head is None:
            self._head = self.load_head()
        return self._head
