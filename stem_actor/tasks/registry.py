"""Registry: the tasks of one app, by name and by the hash that the wire carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stem_actor.errors import DuplicateTask, SettingsError, TaskNotRegistered
from stem_actor.ring.record import type_hash
from stem_actor.tasks.task import Task

__all__ = ["Registry"]


class Registry:
    """The tasks of one app. Grows, but not between ``freeze`` and ``thaw``."""

    def __init__(self) -> None:
        self._by_name: dict[str, Task[Any, Any]] = {}
        self._by_hash: dict[int, Task[Any, Any]] = {}
        self._names_by_hash: dict[int, str] = {}
        self._is_frozen = False

    def __len__(self) -> int:
        return len(dict.fromkeys(self._by_name.values()))

    def __iter__(self) -> Iterator[Task[Any, Any]]:
        """Iterate over the tasks, each once, in the order of their registration."""
        return iter(dict.fromkeys(self._by_name.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """Every name and alias, in the order of registration."""
        return tuple(self._by_name)

    @property
    def is_frozen(self) -> bool:
        """Whether workers were started from it."""
        return self._is_frozen

    def add(self, task: Task[Any, Any]) -> None:
        """
        Register *task* under its name and aliases; the same task again is nothing.

        Raises:
            DuplicateTask: If another task has one of the names; says where that is.
            SettingsError: If the registry is frozen, or two names have one hash.
        """
        if self._by_name.get(task.name) is task:
            return
        if self._is_frozen:
            raise SettingsError(
                [f"{task.place}: task {task.name} is registered after the start"],
                hint="import the module that defines it before the app is started",
            )
        names = (task.name, *task.aliases)
        for name in names:
            self._check(name, task)
        for name in names:
            self._by_name[name] = task
            self._by_hash[type_hash(name)] = task
            self._names_by_hash[type_hash(name)] = name

    def get(self, name: str) -> Task[Any, Any]:
        """
        Return the task that is registered as *name*.

        Raises:
            TaskNotRegistered: If there is none; suggests the nearest name.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise TaskNotRegistered(name, known=self._by_name) from None

    def find(self, name: str) -> Task[Any, Any] | None:
        """Return the task that is registered as *name*, or None."""
        return self._by_name.get(name)

    def by_hash(self, hashed: int) -> Task[Any, Any] | None:
        """Return the task whose name or alias has this 64-bit hash, or None."""
        return self._by_hash.get(hashed)

    def freeze(self) -> None:
        """Refuse every further task: workers that run already would not know it."""
        self._is_frozen = True

    def thaw(self) -> None:
        """Take tasks again: no worker runs any more, the next ones know them."""
        self._is_frozen = False

    def _check(self, name: str, task: Task[Any, Any]) -> None:
        other = self._by_name.get(name)
        if other is not None:
            raise DuplicateTask(name, where=other.place)
        same = self._names_by_hash.get(type_hash(name), name)
        if same != name:
            raise SettingsError(
                [f"{task.place}: the names {name!r} and {same!r} have one hash"],
                hint="give one of the tasks another name",
            )
