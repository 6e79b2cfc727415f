"""Statuses as the supervisor tells them, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stem_actor.ids import format_id
from stem_actor.model.duration import from_wall_ns
from stem_actor.model.error import TaskError
from stem_actor.model.state import TaskState
from stem_actor.model.status import TaskStatus
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.tasks.outcome import (
    read_failure,
    unpack_cancellation,
    unpack_success,
    verdict_of,
)

__all__ = ["status_of"]

_SUCCEEDED: Final = "succeeded"
_CANCELLED: Final = "cancelled"


def status_of(
    view: Mapping[str, Any] | None,
    unspool: Callable[[bytes], bytes],
    encoders: TaskPayloadEncoderRegistry | None,
) -> TaskStatus | None:
    """
    Return the status in a supervisor's answer; None for an unknown task.

    Args:
        view: The answer.
        unspool: Returns what a claim check stands for.
        encoders: What decodes an encoded outcome; None: it is left as it is.

    Raises:
        PayloadError: If the outcome cannot be read, or cannot be decoded.
        EncoderNotRegistered: If *encoders* do not know its encoder.
    """
    if view is None:
        return None
    payload: object = None
    error: TaskError | None = None
    meta: dict[str, object] = {"queue": view["queue"], "crashes": view["crashes"]}
    stored = unspool(view["payload"])
    if view["waiting"]:
        meta["waiting"] = view["waiting"]
    if view["merged"]:
        meta["stem.unique.duplicateCount"] = view["merged"]
        meta["stem.unique.duplicates"] = [
            {"taskId": format_id(it), "timestamp": from_wall_ns(at_ns).isoformat()}
            for it, at_ns in view["duplicates"]
        ]
    if view.get("parts"):
        meta["parts"] = view["parts"]
    if view["state"] == _SUCCEEDED:
        payload, kept = unpack_success(stored, encoders)
        meta.update(kept)
    elif view["state"] == _CANCELLED:
        meta["reason"], _ = unpack_cancellation(stored)
    elif stored:
        error, kept = read_failure(stored, encoders)
        meta.update(kept)
    finished, created = view["finishedNs"], view["createdNs"]
    return TaskStatus(
        id=format_id(view["id"]),
        state=TaskState(view["state"]),
        payload=payload,
        error=error,
        meta=meta,
        attempt=view["attempt"],
        starts=view["starts"],
        created_at=from_wall_ns(created) if created else None,
        updated_at=from_wall_ns(finished) if finished else None,
        verdict=error.verdict if error else verdict_of(view["kind"], stored),
    )
