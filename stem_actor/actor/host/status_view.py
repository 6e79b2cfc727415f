"""Statuses as the supervisor tells them, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stem_actor.ids import format_id
from stem_actor.model.duration import from_wall_ns
from stem_actor.model.error import TaskError
from stem_actor.model.state import TaskState
from stem_actor.model.status import TaskStatus
from stem_actor.ring.producer import Kind
from stem_actor.tasks.outcome import (
    kept_meta,
    unpack_cancellation,
    unpack_failure,
    unpack_success,
    verdict_of,
)

__all__ = ["status_of"]

_SUCCEEDED: Final = "succeeded"
_CANCELLED: Final = "cancelled"


def status_of(view: Mapping[str, Any] | None) -> TaskStatus | None:
    """Return the status in a supervisor's answer; None for an unknown task."""
    if view is None:
        return None
    payload: object = None
    error: TaskError | None = None
    meta: dict[str, object] = {"queue": view["queue"], "crashes": view["crashes"]}
    stored: bytes = view["payload"]
    if view["waiting"]:
        meta["waiting"] = view["waiting"]
    if view["merged"]:
        meta["stem.unique.duplicateCount"] = view["merged"]
        meta["stem.unique.duplicates"] = [
            {"taskId": format_id(it), "timestamp": from_wall_ns(at_ns).isoformat()}
            for it, at_ns in view["duplicates"]
        ]
    if view["state"] == _SUCCEEDED:
        payload, kept = unpack_success(stored)
        meta.update(kept)
    elif view["state"] == _CANCELLED:
        meta["reason"], _ = unpack_cancellation(stored)
    elif stored:
        error = unpack_failure(stored)
        meta.update(kept_meta(stored))
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
        verdict=verdict_of(view["kind"] or Kind.RETRY, stored),
    )
