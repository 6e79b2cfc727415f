"""Execute: one start of a task, from its delivery to its report."""

from __future__ import annotations

from typing import Any, Final

from stem_actor.engine.failure import DEFAULT_STRATEGY, report_failure
from stem_actor.engine.report import Report
from stem_actor.policy.strategy import RetryStrategy
from stem_actor.ring.producer import Kind
from stem_actor.tasks.context import CURRENT, TaskContext
from stem_actor.tasks.delivery import Delivery
from stem_actor.tasks.ports import Runtime
from stem_actor.tasks.task import AsyncTask, SyncTask

__all__ = ["Delivery", "Report", "aexecute", "execute"]

_SUCCEEDED: Final = Kind.SUCCEEDED


def execute(
    task: SyncTask[..., Any],
    delivery: Delivery,
    runtime: Runtime,
    *,
    strategy: RetryStrategy = DEFAULT_STRATEGY,
) -> Report:
    """
    Run a plain handler, and return what to report; raises nothing of the handler's.

    Args:
        task: The task of the delivery.
        delivery: The start.
        runtime: The worker's side of it.
        strategy: The rule for delays where no policy is in force.
    """
    context = TaskContext(task.name, delivery, runtime, task.dispatcher, task.encoders)
    token = CURRENT.set(context)
    try:
        return Report(_SUCCEEDED, task.runner(context))
    except BaseException as exc:
        return report_failure(context, exc, strategy)
    finally:
        CURRENT.reset(token)


async def aexecute(
    task: AsyncTask[..., Any],
    delivery: Delivery,
    runtime: Runtime,
    *,
    strategy: RetryStrategy = DEFAULT_STRATEGY,
) -> Report:
    """As ``execute``, for a coroutine handler; run it as an asyncio task of its own."""
    context = TaskContext(task.name, delivery, runtime, task.dispatcher, task.encoders)
    token = CURRENT.set(context)
    try:
        return Report(_SUCCEEDED, await task.runner(context))
    except BaseException as exc:
        return report_failure(context, exc, strategy)
    finally:
        CURRENT.reset(token)
