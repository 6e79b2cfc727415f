"""TaskVersion: the version of a task's arguments, and how older ones get there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TypeVar

from stem_actor.errors import PayloadError, PayloadVersionError, SettingsError
from stem_actor.model.version import Payload, check_version, split_version, with_version
from stem_actor.tasks.definition import place_of

__all__ = ["TaskVersion", "Upgraded", "adder", "version_of"]

Upgrade = Callable[[Payload], Mapping[str, object]]
Upgraded = TypeVar("Upgraded", bound=Upgrade)


class TaskVersion:
    """
    The version of a task's arguments, and the upgrades that lead to it.

    Attributes:
        number: The version that the handler takes, and that calls are marked with.
    """

    def __init__(self, task: str, number: int) -> None:
        """
        Args:
            task: The task's name, for errors.
            number: The version.

        Raises:
            ValueError: If *number* is no int above 0.
        """
        self._task = task
        self.number = check_version(number)
        self._upgrades: dict[int, Upgrade] = {}

    @property
    def known(self) -> tuple[int, ...]:
        """The versions that can be run: from which upgrades lead to ``number``."""
        known = [self.number]
        while known[0] - 1 in self._upgrades:
            known.insert(0, known[0] - 1)
        return tuple(known)

    def add(self, from_version: int, upgrade: Upgrade) -> None:
        """
        Let *upgrade* make a map of *from_version* one of the next version.

        Raises:
            ValueError: If *from_version* is not below ``number``, or has an upgrade.
        """
        check_version(from_version, "from_version")
        if from_version >= self.number:
            raise ValueError(
                f"task {self._task} is of version {self.number}: there is nothing to "
                f"upgrade to from {from_version}; raise its version"
            )
        if from_version in self._upgrades:
            raise ValueError(
                f"task {self._task} has an upgrade from version {from_version} already"
            )
        self._upgrades[from_version] = upgrade

    def mark(self, args: Mapping[str, object]) -> dict[str, object]:
        """Return *args*, a map of ``number``, with its mark."""
        return with_version(args, self.number)

    def marking(
        self, bind: Callable[..., dict[str, object]]
    ) -> Callable[..., dict[str, object]]:
        """Return *bind*, marking the maps that it returns."""
        number = self.number

        @wraps(bind)
        def marked(*args: object, **kwargs: object) -> dict[str, object]:
            return with_version(bind(*args, **kwargs), number)

        return marked

    def upgraded(self, args: Mapping[str, object]) -> Mapping[str, object]:
        """
        Return *args*, a map of any known version, as one of ``number``, unmarked.

        A map without a mark is of version 1: it was written before there were any.

        Raises:
            PayloadVersionError: If no upgrades lead from its version to ``number``;
                names those from which they do.
            PayloadError: If an upgrade fails.
        """
        version, payload = split_version(args, path="args")
        if version not in self.known:
            raise PayloadVersionError(version, known=self.known, path="args")
        for step in range(version, self.number):
            payload = self._step(step, payload)
        return payload

    def _step(self, version: int, payload: Payload) -> Payload:
        try:
            return dict(self._upgrades[version](payload))
        except Exception as error:  # user code: what it raises says nothing of the task
            raise PayloadError(
                f"the upgrade of {self._task} from version {version} failed: "
                f"{type(error).__name__}: {error}",
                path="args",
                hint="mend the upgrade, then replay the task",
            ) from error


def version_of(
    task: str, version: int | None, problems: list[str]
) -> TaskVersion | None:
    """Return the version of *task*; if *version* is none, a line in *problems*."""
    try:
        return None if version is None else TaskVersion(task, version)
    except ValueError as error:
        problems.append(str(error))
        return None


def adder(
    version: TaskVersion | None, task: str, from_version: int
) -> Callable[[Upgraded], Upgraded]:
    """Return the decorator that adds an upgrade to *version*; see ``Task.upgrade``."""

    def add(upgrade: Upgraded) -> Upgraded:
        try:
            if version is None:
                raise ValueError(f"task {task} has no version; write @task(version=2)")
            version.add(from_version, upgrade)
        except ValueError as error:
            raise SettingsError([f"{place_of(upgrade)}: {error}"]) from error
        return upgrade

    return add
