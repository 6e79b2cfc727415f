"""StemClient: one configuration, shared by a producer, an app and a worker."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, Unpack

from stem_actor.actor.host.settings import SettingsDict
from stem_actor.app import StemApp
from stem_actor.engine.registering import Handler
from stem_actor.errors import SettingsError
from stem_actor.roles.stem import Stem
from stem_actor.roles.worker import Worker
from stem_actor.roles.worker_config import WorkerConfig
from stem_actor.tasks.typed_name import TypedName

__all__ = ["StemClient"]


class StemClient(Stem):
    """
    A ``Stem`` that makes the app or the worker that runs its ring; a context manager.

    Closing it ends what it has made.
    """

    @classmethod
    def in_memory(
        cls,
        tasks: Iterable[Handler | TypedName[Any]] = (),
        *,
        imports: Iterable[str] = (),
        **settings: Unpack[SettingsDict],
    ) -> Self:
        """
        Return a client with a ring of its own that is gone with this process.

        Raises:
            SettingsError: With every problem at once.
        """
        if "broker" in settings:
            raise SettingsError(
                ["a client in memory has no broker"], hint="use StemClient.create"
            )
        return cls(tasks, imports=imports, **settings)

    @classmethod
    def create(
        cls,
        tasks: Iterable[Handler | TypedName[Any]] = (),
        *,
        imports: Iterable[str] = (),
        **settings: Unpack[SettingsDict],
    ) -> Self:
        """
        Return a client with these settings, ``broker`` among them.

        Raises:
            SettingsError: With every problem at once.
        """
        return cls(tasks, imports=imports, **settings)

    def create_app(self) -> StemApp:
        """
        Return the client's app; its workers start with its first enqueue.

        ``with`` starts them at once. A ring has one supervisor, so each call returns
        the same app; where another process runs the ring, it enqueues there.
        """
        self.app.start_when_needed()
        return self.app

    def create_worker(
        self,
        *,
        queues: Iterable[str] | None = None,
        workers: int | None = None,
        config: WorkerConfig | None = None,
    ) -> Worker:
        """
        Return a worker of this client, not started; see ``Worker``.

        Raises:
            SettingsError: If a setting cannot work, or the client's app runs already.
        """
        return Worker(self, queues=queues, workers=workers, config=config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.app.stop()
        self.close()
