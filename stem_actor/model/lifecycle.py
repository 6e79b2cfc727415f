"""WorkerLifecycle: when a worker is replaced, and how long it may take to leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.options import InvalidOptions

__all__ = ["WorkerLifecycle"]

_COUNTS = ("max_tasks", "soft_memory", "hard_memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLifecycle:
    """
    The life of one worker.

    Attributes:
        max_tasks: It is replaced after this many tasks; None: never for that.
        soft_memory: Bytes of resident memory above which it is replaced when idle.
        hard_memory: Bytes above which it is killed, whatever it does.
        grace: What a stop without a deadline of its own gives running tasks.

    Raises:
        InvalidOptions: With every problem at once.
    """

    max_tasks: int | None = None
    soft_memory: int | None = None
    hard_memory: int | None = None
    grace: Duration = 10

    def __post_init__(self) -> None:
        problems = tuple(self._problems())
        if problems:
            raise InvalidOptions(problems)

    @property
    def grace_ns(self) -> int:
        return to_ns(self.grace, "grace")

    def _problems(self) -> Iterator[str]:
        for name in _COUNTS:
            value: object = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                yield f"{name} must be an int >= 1, not {value!r}"
        try:
            to_ns(self.grace, "grace")
        except (TypeError, ValueError) as error:
            yield str(error)
