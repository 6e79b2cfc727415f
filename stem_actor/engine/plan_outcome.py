"""What has become of a canvas, in the form in which its handle gets it."""

from __future__ import annotations

from typing import Final

from stem_actor.engine.plan_document import StepDocument
from stem_actor.errors import PayloadError
from stem_actor.ids import format_id
from stem_actor.model.error import TaskError
from stem_actor.ring.producer import Kind
from stem_actor.tasks.outcome import (
    pack_cancellation,
    pack_failure,
    unpack_failure,
)
from stem_actor.tasks.parts import pack_parts

__all__ = ["cancelled", "failed", "refused", "succeeded"]

Outcome = tuple[int, bytes]

_TYPES: Final = {"chain": "ChainFailed", "chord": "ChordFailed"}


def succeeded(payloads: object) -> Outcome:
    """Return the end of a whole; *payloads*: results of its parts, as stored."""
    return Kind.SUCCEEDED, pack_parts(payloads)


def failed(kind: str, step: StepDocument, payload: bytes) -> Outcome:
    """
    Return the end of a whole that *step* has made fail.

    Args:
        kind: Of the outermost part.
        step: The first that did not succeed.
        payload: What its end carries.
    """
    task_id = format_id(step.task_id)
    index = step.path[0] if step.path else 0
    try:
        cause = unpack_failure(payload)
        why = f"{cause.type}: {cause.message}"
    except PayloadError:  # it was revoked, or expired
        why = "it was cancelled"
    error = TaskError(
        type=_TYPES.get(kind, "CanvasError"),
        message=f"part {index} of the {kind} failed: task {task_id}: {why}",
        meta={"index": index, "taskId": task_id},
    )
    return Kind.FAILED, pack_failure(error)


def refused(error: Exception) -> Outcome:
    """Return the end of what cannot be run at all."""
    return Kind.FAILED, pack_failure(TaskError.from_exception(error))


def cancelled(reason: str) -> Outcome:
    """Return the end of a whole that was revoked."""
    return Kind.CANCELLED, pack_cancellation(reason)
