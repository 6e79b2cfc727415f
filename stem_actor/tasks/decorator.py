"""TaskDecorator: ``@task`` in its two forms, typed so that checkers see the handler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

from stem_actor.model.enqueue_options import TaskOptionsDict
from stem_actor.model.metadata import TaskMetadata
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.task import AsyncTask, SyncTask, Task

__all__ = ["ContextDecorator", "PlainDecorator", "TaskDecorator", "task"]

P = ParamSpec("P")
R = TypeVar("R")

# The overloads overlap on purpose: a coroutine function is a function too, and the
# first that fits is the one that is meant.


class ContextDecorator(Protocol):
    """What ``@task(...)`` returns: a leading ``TaskContext`` is hidden from callers."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[TaskContext, P], R], /
    ) -> SyncTask[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> SyncTask[P, R]: ...


class PlainDecorator(Protocol):
    """What ``@task(context=False)`` returns: every parameter is an argument."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> SyncTask[P, R]: ...


class TaskDecorator:
    """
    Makes a task of a function: ``@task``, or ``@task(queue="email", max_retries=4)``.
    """

    def __init__(self, register: Callable[[Task[Any, Any]], object] | None) -> None:
        """*register* is called with each new task; None: nobody is told."""
        self._register = register

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[TaskContext, P], R], /
    ) -> SyncTask[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        context: Literal[False],
        name: str | None = None,
        aliases: Iterable[str] = (),
        version: int | None = None,
        metadata: TaskMetadata | None = None,
        **options: Unpack[TaskOptionsDict],
    ) -> PlainDecorator: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        context: Literal[True] | None = None,
        version: int | None = None,
        metadata: TaskMetadata | None = None,
        **options: Unpack[TaskOptionsDict],
    ) -> ContextDecorator: ...
    def __call__(self, handler: Callable[..., Any] | None = None, **kw: Any) -> Any:
        """
        Return the task, or with keywords alone the decorator that makes it.

        Args:
            handler: A function, plain or ``async``. A first parameter annotated as
                ``TaskContext`` gets the context and is no argument.
            kw: ``name``, ``aliases``, ``context``, ``version``, ``metadata`` and the
                fields of ``TaskOptions``.

        Raises:
            SettingsError: With every problem, each with file and line.
            DuplicateTask: If the app has a task of that name.
        """
        if handler is None:
            return lambda late: self._make(late, kw)
        return self._make(handler, kw)

    def _make(self, handler: Callable[..., Any], kw: dict[str, Any]) -> Task[Any, Any]:
        is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - an object with one
        )
        made: Task[Any, Any] = (AsyncTask if is_async else SyncTask)(handler, **kw)
        if self._register is not None:
            self._register(made)
        return made


task = TaskDecorator(None)
"""The decorator without an app; the task is bound later by ``StemApp(tasks=[...])``."""
