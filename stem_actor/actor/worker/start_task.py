"""Start task: the asyncio task of one start, which knows who cancels it."""

from __future__ import annotations

import asyncio
from typing import Any

from stem_actor.actor.worker.runtime import WorkerRuntime
from stem_actor.ring.mailbox import Stop
from stem_actor.tasks.context import CURRENT

__all__ = ["StartTask"]


class StartTask(asyncio.Task[None]):
    """
    The task of the start of ``runtime``.

    A handler may cancel all the tasks of its loop, those of its neighbours too. For
    them that is no error of their own: as at a drain they are handed back, and run
    again in another worker. A cancellation by the start itself stays its own.
    """

    __slots__ = ("runtime",)

    #: Set by whoever makes it; an ``__init__`` would cost each start more.
    runtime: WorkerRuntime

    def cancel(self, msg: Any | None = None) -> bool:
        """As of any task; notes that another start has done it."""
        runtime, context = self.runtime, CURRENT.get()
        is_foreign = context is not None and context.runtime is not runtime
        if is_foreign and not runtime.struck and not self.done():
            runtime.stop = runtime.stop or Stop.DRAIN
            runtime.struck = runtime.stop
        return super().cancel(msg)
