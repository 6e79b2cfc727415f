"""The body of a worker process: from its birth to its last task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.config import SupervisorConfig, read_config
from stem_actor.actor.tree.importing import resolve
from stem_actor.actor.worker.async_worker import AsyncWorkerActor
from stem_actor.actor.worker.task_log import configure_logging
from stem_actor.actor.worker.worker import Hooks, WorkerActor
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy, RetryStrategy
from stem_actor.tasks.decorator import TaskDecorator
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import AsyncTask, Task

__all__ = ["build_body", "imported_body", "serve"]


def build_body(
    registry: Registry, strategy: RetryStrategy, hooks: Hooks
) -> Callable[[Birth], None]:
    """Return the body of workers that are copies of this process."""

    def body(birth: Birth) -> None:
        config = read_config(Path(birth.directory) / "config.json")
        serve(birth, config, registry, strategy, hooks)

    return body


def serve(
    birth: Birth,
    config: SupervisorConfig,
    registry: Registry,
    strategy: RetryStrategy,
    hooks: Hooks,
) -> None:
    """Serve as worker *birth*, on a loop if there is a coroutine handler."""
    configure_logging()
    if any(isinstance(task, AsyncTask) for task in registry):
        actor = AsyncWorkerActor(birth, registry, strategy, config.max_payload)
        actor.serve(hooks, config.concurrency)
    else:
        WorkerActor(birth, registry, strategy, config.max_payload).run(hooks)


def imported_body(birth: Birth) -> None:
    """The body of workers that import the handlers: all of it comes by name."""
    config = read_config(Path(birth.directory) / "config.json")
    registry = Registry()
    for name, reference in config.handlers.items():
        registry.add(_task(name, reference))
    base_ns, max_ns = config.strategy
    strategy = ExponentialJitterRetryStrategy(
        base=base_ns / 1e9, max=max_ns / 1e9, seed=config.strategy_seed
    )
    hooks = Hooks(
        [resolve(reference) for reference in config.init_hooks],
        [resolve(reference) for reference in config.shutdown_hooks],
    )
    serve(birth, config, registry, strategy, hooks)


def _task(name: str, reference: str) -> Task[Any, Any]:
    """The task at *reference*; of a plain function, which the host made a task."""
    found = resolve(reference)
    if isinstance(found, Task):
        return found
    return TaskDecorator(None)(name=name)(found)
