"""The wish: what an attempt asked of those after it, by ``context.retry``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stem_actor.engine.failure import NEXT
from stem_actor.errors import PayloadError
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.tasks.outcome import unpack_failure

__all__ = ["NO_WISH", "Wish", "wish_of"]


@dataclass(frozen=True, slots=True)
class Wish:
    """
    Attributes:
        max_retries: Tries after the first, from now on; None: the task's own number.
        load_policy: Returns the policy that is in force now; None: the task's own.
    """

    max_retries: int | None = None
    load_policy: Callable[[], TaskRetryPolicy | None] | None = None


NO_WISH: Final = Wish()


def wish_of(error: bytes) -> Wish:
    """Return what the packed *error* of the attempt before asks for."""
    try:
        kept = unpack_failure(error).meta.get(NEXT)
    except PayloadError:
        return NO_WISH  # cut off by a full arena: the task's own options stand
    if not isinstance(kept, dict):
        return NO_WISH
    retries, wire = kept.get("maxRetries"), kept.get("retryPolicy")
    return Wish(
        retries if isinstance(retries, int) else None,
        (lambda: TaskRetryPolicy.from_wire(wire)) if isinstance(wire, dict) else None,
    )
