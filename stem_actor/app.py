"""StemApp: the composition root. Tasks, producer, supervisor and workers in one."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from stem_actor.actor.host.attachment import Attachment
from stem_actor.actor.host.connection import Connection
from stem_actor.actor.host.host import RingHost
from stem_actor.actor.host.places import Places, handlers_of
from stem_actor.actor.host.settings import Settings, SettingsDict, settings_of
from stem_actor.actor.tree.importing import ImportSpec
from stem_actor.actor.worker.body import build_body
from stem_actor.actor.worker.worker import Hooks
from stem_actor.canvas.canvas import Canvas
from stem_actor.control.steering import Steering
from stem_actor.engine.publish import Publisher
from stem_actor.engine.registering import Handler, Registering
from stem_actor.errors import (
    AppNotStarted,
    BrokerUnavailable,
    SettingsError,
    StemError,
)
from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.stop_report import StopReport
from stem_actor.observe.watching import Watching
from stem_actor.ring.directory import RingDirectory
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.found import FoundTask
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.producing import Producing
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.typed_name import TypedName

__all__ = ["Settings", "StemApp"]

Hook = TypeVar("Hook", bound=Callable[[], object])
V = TypeVar("V")

_IMPORTED_BODY: Final = "stem_actor.actor.worker.imported:imported_body"

_log = logging.getLogger("stem_actor")


class StemApp(Registering, Producing, Steering, Watching):
    """
    Background tasks in worker processes of this program.

    Started by ``with app:`` or ``async with app:``. Tasks are registered before that.

    Attributes:
        settings: What it was given, checked.
        registry: Its tasks.
    """

    _host: RingHost | None = None
    _connection: Connection | None = None
    _is_closed = False
    _starts_itself = False

    def __init__(
        self,
        tasks: Iterable[Handler | TypedName[Any]] = (),
        *,
        imports: Iterable[str] = (),
        **settings: Unpack[SettingsDict],
    ) -> None:
        """
        Make an app; nothing is started.

        Args:
            tasks: Tasks of ``stem_actor.task``, ``TaskHandler`` objects, functions to
                be made tasks; and definitions of tasks that others run.
            imports: Modules whose tasks, ``TaskHandler`` objects and definitions
                belong to it; imported at the start, or at a name that is not known.
            settings: The fields of ``SettingsDict``.

        Raises:
            SettingsError: With every problem at once.
        """
        self.settings, self._given = settings_of(settings), settings
        super().__init__(self.settings.encoders)
        self._hooks, self._lock = Hooks(), threading.RLock()
        self._publisher = Publisher(
            Registry(), encoders=self.settings.encoders, takes_any=self._is_producer
        )
        self._attachment = Attachment()
        self._publisher.disconnect(self._connect)
        self.canvas = Canvas(self._publisher)
        self._take(tasks, imports)

    def configure(self, changes: SettingsDict) -> None:
        """
        Let *changes* replace what it was given; the rest stays.

        Raises:
            SettingsError: With every problem at once, or if it has been started.
        """
        if self._host is not None:
            raise SettingsError(
                ["the app is started: its settings stand"], hint="stop it first"
            )
        given = self._given.copy()
        given.update(changes)
        # The encoders stay: tasks have registered theirs with them.
        settings = replace(settings_of(given), encoders=self.settings.encoders)
        self.settings, self._given = settings, given

    # --- hooks

    def worker_init(self, hook: Hook) -> Hook:
        """Call *hook* in each worker before its first task; a decorator."""
        self._hooks.init.append(hook)
        return hook

    def worker_shutdown(self, hook: Hook) -> Hook:
        """Call *hook* in each worker that leaves in peace; a decorator."""
        self._hooks.shutdown.append(hook)
        return hook

    # --- enqueue

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        return self._publisher.enqueue_call(call)

    def enqueue_many(self, calls: Iterable[TaskCall]) -> list[TaskHandle[object]]:
        """As ``enqueue_call`` for each, in order; they cross in batches."""
        return self._publisher.enqueue_many(calls)

    def _find(self, task_id: str, decode: Callable[[Any], V]) -> FoundTask[V]:
        return self._publisher.find(task_id, decode)

    # --- life

    @property
    def is_started(self) -> bool:
        """Whether it runs workers, and is not being stopped."""
        return self._host is not None and not self._is_closed

    def start(self) -> Self:
        """
        Start supervisor and workers, and connect to them.

        Raises:
            StemError: If it is started already.
            HandlerNotImportable: If workers must import a handler, and cannot.
            RingError: If the ring cannot come up; ``RingInUse`` names who runs it.
        """
        with self._lock:
            if self._host is not None:
                raise StemError("the app is started already")
            try:
                host = self.make_host()
                connection = host.start()
            except BaseException:
                self.registry.thaw()
                raise
            self._host, self._is_closed = host, False
            self._use(connection)
        self._listeners.start(host.directory)
        return self

    def start_when_needed(self) -> None:
        """
        Start with the first enqueue, unless another process runs the ring by then.
        """
        self._starts_itself = True

    def stop(self, deadline: Duration | None = None) -> StopReport:
        """
        Stop: start no more tasks, let those finish that run, then end everything.

        Tasks that never started wait in a named ring for its next start; those of an
        anonymous one end as cancelled. Either is logged.

        Args:
            deadline: What running tasks are given; None: the lifecycle's grace.

        In a child of the process that started the app it only forgets the ring.
        """
        grace = self.settings.lifecycle.grace if deadline is None else deadline
        deadline_ns = to_ns(grace, "deadline")
        if self._forget():
            return StopReport()
        with self._lock:
            host = self._host
            if host is None:
                return StopReport()
            self._publisher.disconnect(self._connect)
            self._is_closed = True
            report = host.stop(deadline_ns / 1e9)  # interrupted: close() ends the host
            self._host = self._connection = None
            self.registry.thaw()
        self._end_watching()
        left = report.cancelled + report.unstarted
        if left:
            tasks = "task" if left == 1 else "tasks"
            _log.warning("%d %s had not started when the app was stopped", left, tasks)
        return report

    def close(self) -> None:
        """
        Stop without any grace, or leave a ring that others run.

        After a stop that was interrupted it ends everything at once.
        """
        self.stop(0)
        with self._lock:
            connection, self._connection = self._connection, None
            self._publisher.disconnect(self._connect)
            self._is_closed = True
            self._attachment.close()
        if connection is not None:
            connection.close()
        self._end_watching()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A KeyboardInterrupt leaves this way too: running tasks get their grace. A
        # second one, during the stop, ends them at once.
        try:
            self.stop()
        except BaseException:
            self.close()
            raise

    async def __aenter__(self) -> Self:
        # Not in a thread: a program that has one more thread may not fork.
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    # --- the ring

    @property
    def connection(self) -> Connection:
        """
        The connection to the ring; attaches to a named ring that another runs.

        Raises:
            AppNotStarted: If there is no ring.
        """
        return self._connection or self._connect()

    @property
    def directory(self) -> RingDirectory:
        """Where the ring lies; an anonymous one has a place only while it runs."""
        host = self._host
        return self.settings.locate() if host is None else host.directory

    def make_host(self, directory: RingDirectory | None = None) -> RingHost:
        """
        Return the process side, not started; from here on no task can be registered.

        Args:
            directory: The ring to run; None: the one of the settings.
        """
        directory = directory or self.settings.locate()
        self._import()
        for task in self.registry:
            task.attach(self._publisher)  # another app may have had it since
        self.registry.freeze()
        hooks, settings = self._hooks, self.settings
        strategy, encoders = settings.own_strategy, settings.own_encoders
        places = Places.of(self.registry, hooks, strategy, encoders, self)
        needed = {
            "retry_strategy": None if places.strategy else strategy,
            "encoders": None if places.encoders else encoders,
        }
        config = settings.supervisor_config(
            is_anonymous=directory.is_anonymous, places=places
        )
        return RingHost(
            directory,
            config,
            body=build_body(self.registry, settings.retry_strategy, hooks),
            import_spec=ImportSpec(
                body=_IMPORTED_BODY,
                handlers=handlers_of(self.registry),
                hooks=(*hooks.init, *hooks.shutdown),
                modules=(*self._imports, *places.modules),
                unreachable={k: it for k, it in needed.items() if it is not None},
            ),
            start_method=settings.start_method,
            python=settings.python,
        )

    # --- inside

    def _is_producer(self) -> bool:
        """Whether it has no handlers, and enqueues to a ring that others run."""
        self._import()
        if self._host is not None or len(self.registry):
            return False
        return not self.settings.locate().is_anonymous

    def _forget(self) -> bool:
        """In a child of the process that started the app: let go of the ring."""
        host = self._host
        if host is None or not host.is_inherited:
            return False
        self._lock = threading.RLock()  # it may be held by a thread of the parent
        self._publisher.disconnect(self._connect)
        self._is_closed = True
        self._host = self._connection = None
        self.registry.thaw()
        self._listeners.forget()
        host.forget()
        return True

    def _use(self, connection: Connection) -> None:
        connection.encoders = self.settings.encoders
        self._connection = connection
        self._publisher.connect(connection, connection)

    def _connect(self, *, patiently: bool = True) -> Connection:
        """
        Return a connection to a ring that is not started here, or start it; see
        ``Connect``.
        """
        if self._may_start_itself():
            self.start()
            return self.connection
        directory = self._running_ring()
        if not self._lock.acquire(blocking=patiently):
            raise BrokerUnavailable("another thread is attaching to the ring")
        try:
            if self._connection is None:
                self._use(self._attachment.connect(directory, patiently=patiently))
            connection = self.connection
        finally:
            self._lock.release()
        self._listeners.start(directory)
        return connection

    def _may_start_itself(self) -> bool:
        if not self._starts_itself or self._is_closed or self._host is not None:
            return False
        directory = self.settings.locate()
        return directory.is_anonymous or directory.owner() is None

    def _running_ring(self) -> RingDirectory:
        if not self._is_closed and self._host is not None:
            return self._host.directory
        directory = self.settings.locate()
        if self._is_closed or directory.is_anonymous:
            state = "closed" if self._is_closed else "not started"
            raise AppNotStarted(
                f"the app is {state}",
                hint="use `with app:`, or call app.start() before the first enqueue",
            )
        return directory

    def _ring_in_use(self) -> RingDirectory | None:
        return None if self._connection is None else self.directory
