"""Identity: the id of the task that an enqueue stands for, asked of the supervisor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from stem_actor.errors import BrokerUnavailable
from stem_actor.ids import format_id

__all__ = ["identify"]

_ANSWER_S: Final = 10.0
#: In an event loop, which stands still meanwhile.
_LOOP_ANSWER_S: Final = 0.1
_PAUSE_S: Final = 0.002


def identify(request: Callable[..., dict[str, Any]], task_id: bytes) -> bytes:
    """
    Return the id of the task that was enqueued as *task_id*: its own, or that of the
    live task with its unique key.

    Args:
        request: Asks the supervisor, see ``Connection.request``.
        task_id: The id it was given when it was submitted.

    Raises:
        BrokerUnavailable: If the supervisor does not answer, or has had no slot for
            the task for ten seconds; in a running event loop for a tenth of one.
    """
    is_loop = asyncio._get_running_loop() is not None
    deadline = time.monotonic() + (_LOOP_ANSWER_S if is_loop else _ANSWER_S)
    while True:
        left_s = max(0.0, deadline - time.monotonic())
        view = request("status", timeout_s=left_s, id=task_id)["status"]
        if view is None:
            return task_id  # it has come and gone, under its own name
        if view["isAdmitted"]:
            found: bytes = view["id"]
            return found
        if time.monotonic() >= deadline:
            raise BrokerUnavailable(
                f"the ring has no room as yet for the unique task {format_id(task_id)}",
                hint="ask for handle.id later",
            )
        time.sleep(_PAUSE_S)  # nobody is told when there is room
