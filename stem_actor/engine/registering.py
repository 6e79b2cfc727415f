"""Registering: the verbs by which an app comes by its tasks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Unpack

from stem_actor.engine.publish import Publisher
from stem_actor.model.enqueue_options import TaskOptionsDict
from stem_actor.tasks.decorator import TaskDecorator
from stem_actor.tasks.handler import TaskHandler, task_of
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task
from stem_actor.tasks.typed_name import TypedName

__all__ = ["Handler", "Registering"]

Handler = Task[..., Any] | TaskHandler[Any, Any] | Callable[..., Any]


class Registering:
    """The tasks of an app: in its registry, and attached to its publisher."""

    _publisher: Publisher
    _imports: tuple[str, ...] = ()
    _waiting: tuple[str, ...] = ()  # those of them that are not imported yet

    @property
    def registry(self) -> Registry:
        """Its tasks."""
        return self._publisher.registry

    @cached_property
    def task(self) -> TaskDecorator:
        """The decorator that makes a task and registers it; see ``TaskDecorator``."""
        return TaskDecorator(self._adopt)

    def register(
        self, handler: Handler, /, **options: Unpack[TaskOptionsDict]
    ) -> Task[..., Any]:
        """
        Register a task, a ``TaskHandler``, or with *options* a function as a task.

        Raises:
            DuplicateTask: If another one has its name.
            SettingsError: If it cannot work, or the app has been started.
        """
        if isinstance(handler, TaskHandler):
            handler = task_of(handler)
        if not isinstance(handler, Task):
            made: Task[..., Any] = self.task(**options)(handler)
            return made
        self._adopt(handler)
        return handler

    def define(self, definition: TypedName[Any], /) -> None:
        """
        Let a task be enqueued by its name that others run: as *definition* says.

        Raises:
            DuplicateTask: If there is another definition of that name.
        """
        self._publisher.define(definition)

    def register_exceptions(self, *classes: type[Exception]) -> None:
        """
        Let handles rebuild exceptions of *classes* as ``TaskFailedError.cause``.

        Raises:
            TypeError: If one is no subclass of Exception.
        """
        self._publisher.exceptions.add(*classes)

    # --- for the app

    def _take(
        self, tasks: Iterable[Handler | TypedName[Any]], imports: Iterable[str]
    ) -> None:
        """Register *tasks*, and have *imports* imported when they are needed."""
        self._imports = self._waiting = tuple(imports)
        for each in tasks:
            if isinstance(each, TypedName):
                self.define(each)
            else:
                self.register(each)

    def _import(self) -> None:
        """Take what the modules of ``imports`` hold: tasks, handlers, definitions."""
        waiting, self._waiting = self._waiting, ()
        for name in waiting:
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, TypedName):
                    self.define(value)
                elif isinstance(value, Task | TaskHandler):
                    self.register(value)

    def _adopt(self, task: Task[..., Any]) -> None:
        self._publisher.lane(task)  # refuses options that cannot be honoured
        self.registry.add(task)
        task.attach(self._publisher)
