"""Places: where a worker that imports the user's code finds each part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from stem_actor.actor.tree.importing import hook_places, place_of, require_importable
from stem_actor.actor.worker.worker import Hooks
from stem_actor.errors import HandlerNotImportable
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.policy.strategy import RetryStrategy
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task

__all__ = ["Places", "handlers_of"]


@dataclass(frozen=True, slots=True)
class Places:
    """
    References (``module:qualname``) of those parts that have one.

    A part without one is no error yet: workers that are copies of the host need none.
    Where workers must import, the start refuses it by name.

    Attributes:
        handlers: By task name.
        init_hooks: Of all ``worker_init`` hooks, or of none.
        shutdown_hooks: Likewise.
        strategy: Of the user's own retry strategy.
        encoders: Of the encoders that the app was given.
    """

    handlers: Mapping[str, str]
    init_hooks: tuple[str, ...]
    shutdown_hooks: tuple[str, ...]
    strategy: str | None
    encoders: str | None = None

    @classmethod
    def of(
        cls,
        registry: Registry,
        hooks: Hooks,
        strategy: RetryStrategy | None,
        encoders: TaskPayloadEncoderRegistry | None,
        app: Any,
    ) -> Places:
        """
        Return the places of what *app* has.

        Args:
            registry: Its tasks.
            hooks: Its hooks.
            strategy: Its retry strategy, if that is the user's own.
            encoders: Its encoders, if it was given some.
            app: The app, which may be a global where the others are none.
        """
        found: dict[str, str] = {}
        for name, handler in handlers_of(registry).items():
            try:
                found[name] = require_importable(name, handler)
            except HandlerNotImportable:
                continue
        init, shutdown = _hooks(hooks.init), _hooks(hooks.shutdown)
        return cls(
            found,
            init,
            shutdown,
            _setting(strategy, "retry_strategy", app),
            _setting(encoders, "encoders", app),
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of strategy and encoders: no handler or hook may lead there."""
        found = (it for it in (self.strategy, self.encoders) if it is not None)
        return tuple(it.partition(":")[0] for it in found)


def handlers_of(registry: Registry) -> dict[str, Callable[..., object]]:
    """Return each task by name, as what stands in its module as the handler."""
    return {task.name: _as_handler(task) for task in registry}


def _as_handler(task: Task[..., Any]) -> Callable[..., object]:
    return cast("Callable[..., object]", task)


def _hooks(hooks: Sequence[Callable[[], object]]) -> tuple[str, ...]:
    try:
        return hook_places(hooks)
    except HandlerNotImportable:
        return ()


def _setting(value: object, name: str, app: Any) -> str | None:
    """Return where *value*, the setting *name* of *app*, is found; None: nowhere."""
    if value is None:
        return None
    found = place_of(value)
    if found is not None:
        return found
    here = place_of(app)
    return None if here is None else f"{here}.settings.{name}"
