"""Children: what a task that is enqueued by a handler inherits, and may not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from stem_actor.errors import StemError
from stem_actor.model.status import TaskStatus
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.ports import FoundHandle, PendingHandle

__all__ = ["CHILD_RESULTS", "ChildResults", "inherited"]

# An allow-list: limits, groups, links and claims are the parent's alone.
_HEADERS: Final = ("traceparent", "tracestate", "tenant")
_PARENT: Final = "stem.parentTaskId"
_PARENT_ATTEMPT: Final = "stem.parentAttempt"
_ROOT: Final = "stem.rootTaskId"


def inherited(
    parent: TaskContext,
    headers: Mapping[str, str],
    meta: Mapping[str, object],
    *,
    lineage: bool,
) -> tuple[dict[str, str], dict[str, object]]:
    """Return the headers and the meta of a child of *parent*; its own win."""
    passed_on = {
        name: parent.headers[name] for name in _HEADERS if name in parent.headers
    }
    ancestry: dict[str, object] = {}
    if lineage:
        ancestry = {
            _PARENT: parent.id,
            _PARENT_ATTEMPT: parent.attempt,
            _ROOT: parent.meta.get(_ROOT, parent.id),
        }
    return {**passed_on, **headers}, {**meta, **ancestry}


class ChildResults:
    """
    The result source of tasks enqueued by a handler.

    A handler that waits for its child holds the worker that the child may need: with
    as many of them as there are workers, nothing would ever move again.
    """

    def attach(self, ticket: int, handle: PendingHandle) -> None:
        """Nothing will come: a child's result stays with the supervisor."""

    def attach_many(self, first_ticket: int, handles: Sequence[PendingHandle]) -> None:
        """Likewise."""

    def find(self, handle: FoundHandle, patience_ns: int) -> None:
        raise StemError(
            "a handler cannot wait for another task: it holds the worker that the "
            "task may need",
            hint="let canvas run one task after another, or wait in the producer",
        )

    def lose(self, handle: FoundHandle) -> None:
        """It was never found."""

    def wait(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        _refuse("wait for")

    async def wait_async(self, handle: PendingHandle, timeout_ns: int | None) -> bool:
        _refuse("wait for")

    def status(self, task_id: bytes) -> TaskStatus | None:
        _refuse("ask for the status of")

    def revoke(self, task_id: bytes, *, terminate: bool, reason: str | None) -> bool:
        _refuse("revoke")

    def identify(self, task_id: bytes) -> bytes:
        _refuse("ask for the other name of")


CHILD_RESULTS: Final = ChildResults()


def _refuse(verb: str) -> NoReturn:
    raise StemError(
        f"a handler cannot {verb} a task that it enqueued",
        hint="let canvas run one task after another, or return the child's id",
    )
