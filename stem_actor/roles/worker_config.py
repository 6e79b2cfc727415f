"""WorkerConfig: how the workers of one ``Worker`` are run."""

from __future__ import annotations

from dataclasses import dataclass

from stem_actor.model.lifecycle import WorkerLifecycle
from stem_actor.policy.strategy import RetryStrategy

__all__ = ["WorkerConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """
    How workers are run; None: as the stem's settings say.

    Attributes:
        concurrency: Coroutine handlers that one worker runs at a time.
        retry_strategy: The delay of retries where a task brings no policy.
        lifecycle: When a worker is replaced, and the grace of a stop.
        start_method: ``auto``, ``fork``, ``import`` or ``spawn``.
    """

    concurrency: int | None = None
    retry_strategy: RetryStrategy | None = None
    lifecycle: WorkerLifecycle | None = None
    start_method: str | None = None
