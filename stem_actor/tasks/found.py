"""FoundTask: a task that is waited for by its id, whoever has enqueued it."""

from __future__ import annotations

from typing import Final, TypeVar

from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.result import TaskResult
from stem_actor.model.status import TaskStatus
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.outcome import OutcomeReader
from stem_actor.tasks.ports import NOT_KNOWN, ResultSource

__all__ = ["FoundTask"]

R_co = TypeVar("R_co", covariant=True)

_PATIENCE_NS: Final = 50_000_000


class FoundTask(TaskHandle[R_co]):
    """A handle whose end is asked for: no reply belongs to it."""

    __slots__ = ("_seen",)

    def __init__(
        self, raw_id: bytes, source: ResultSource, reader: OutcomeReader
    ) -> None:
        super().__init__(raw_id, source, reader)
        self._seen: TaskStatus | None = None

    def wait(self, timeout: Duration | None = None) -> TaskResult[R_co]:
        self._source.find(self, _patience_ns(timeout))
        try:
            return super().wait(timeout)
        finally:
            self._source.lose(self)

    async def await_(self, timeout: Duration | None = None) -> TaskResult[R_co]:
        self._source.find(self, _patience_ns(timeout))
        try:
            return await super().await_(timeout)
        finally:
            self._source.lose(self)

    # --- the side of the result source

    def saw(self, status: TaskStatus | None) -> None:
        """Take the status of a task that has not ended yet; the last one stands."""
        self._seen = status

    # --- inside

    def _last_status(self) -> TaskStatus | None:
        return self._seen

    def _result(self) -> TaskResult[R_co]:
        if self._known()[0] == NOT_KNOWN:
            return TaskResult(self.id)
        return super()._result()


def _patience_ns(timeout: Duration | None) -> int:
    """How long the first look may take, where the supervisor does not answer."""
    if timeout is None:
        return _PATIENCE_NS
    return min(_PATIENCE_NS, to_ns(timeout, "timeout"))
