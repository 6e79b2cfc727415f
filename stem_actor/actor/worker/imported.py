"""The body of workers that import the user's code: all of it comes by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.config import SupervisorConfig, read_config
from stem_actor.actor.tree.importing import resolve, resolve_object
from stem_actor.actor.worker.body import serve
from stem_actor.actor.worker.worker import Hooks
from stem_actor.errors import SettingsError
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy, RetryStrategy
from stem_actor.tasks.decorator import TaskDecorator
from stem_actor.tasks.handler import TaskHandler, task_of
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task

__all__ = ["imported_body"]


def imported_body(birth: Birth) -> None:
    """Serve with what the configuration names; its modules are imported by now."""
    config = read_config(Path(birth.directory) / "config.json")
    registry = Registry()
    for name, reference in config.handlers.items():
        registry.add(_task(name, reference))
    encoders = _encoders(config)
    for task in registry:
        task.attach(task.dispatcher, encoders)
    hooks = Hooks(
        [resolve(reference) for reference in config.init_hooks],
        [resolve(reference) for reference in config.shutdown_hooks],
    )
    serve(birth, config, registry, _strategy(config), hooks)


def _task(name: str, reference: str) -> Task[Any, Any]:
    """The task at *reference*; of a function or a class, which the host made one."""
    found = resolve(reference)
    if isinstance(found, Task):
        return found
    if isinstance(found, type) and issubclass(found, TaskHandler):
        return task_of(found())
    return TaskDecorator(None)(name=name)(found)


def _encoders(config: SupervisorConfig) -> TaskPayloadEncoderRegistry:
    """The encoders of the app as this process has made it again, or none."""
    if not config.encoders_place:
        return TaskPayloadEncoderRegistry()
    found = resolve_object(config.encoders_place)
    if not isinstance(found, TaskPayloadEncoderRegistry):
        raise SettingsError(
            [f"{config.encoders_place} is no registry of encoders"],
            hint='define the app above `if __name__ == "__main__":`, as in the host',
        )
    return found


def _strategy(config: SupervisorConfig) -> RetryStrategy:
    """The user's own strategy as this process has made it again, or the built-in."""
    if not config.strategy_place:
        base_ns, max_ns = config.strategy
        return ExponentialJitterRetryStrategy(
            base=base_ns / 1e9, max=max_ns / 1e9, seed=config.strategy_seed
        )
    found = resolve_object(config.strategy_place)
    if not callable(getattr(found, "next_delay", None)):
        raise SettingsError(
            [f"retry_strategy: {config.strategy_place} has no next_delay method"],
            hint='define it above `if __name__ == "__main__":`, as in the host',
        )
    return cast("RetryStrategy", found)
