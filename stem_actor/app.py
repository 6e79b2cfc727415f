"""StemApp: the composition root. Tasks, producer, supervisor and workers in one."""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
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
from stem_actor.errors import AppNotStarted, BrokerUnavailable, StemError
from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.enqueue_options import TaskEnqueueOptions, TaskOptionsDict
from stem_actor.model.options import TaskOptions
from stem_actor.model.stop_report import StopReport
from stem_actor.observe.watching import Watching
from stem_actor.ring.directory import RingDirectory
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.decorator import TaskDecorator
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.registry import Registry
from stem_actor.tasks.task import Task

__all__ = ["Settings", "StemApp"]

Hook = TypeVar("Hook", bound=Callable[[], object])

_IMPORTED_BODY: Final = "stem_actor.actor.worker.imported:imported_body"

_log = logging.getLogger("stem_actor")


class StemApp(Steering, Watching):
    """
    Background tasks in worker processes of this program.

    Started by ``with app:`` or ``async with app:``. Tasks are registered before that.

    Attributes:
        settings: What it was given, checked.
        registry: Its tasks.
        task: The decorator that makes and registers one, see ``TaskDecorator``.
    """

    _host: RingHost | None = None
    _connection: Connection | None = None
    _is_closed = False

    def __init__(
        self,
        tasks: Iterable[Task[..., Any] | Callable[..., Any]] = (),
        *,
        imports: Iterable[str] = (),
        **settings: Unpack[SettingsDict],
    ) -> None:
        """
        Make an app; nothing is started.

        Args:
            tasks: Tasks of ``stem_actor.task``, or functions to be made tasks.
            imports: Modules whose tasks belong to it; imported at the start.
            settings: The fields of ``SettingsDict``.

        Raises:
            SettingsError: With every problem at once.
        """
        self.settings = settings_of(settings)
        super().__init__(self.settings.encoders)
        self.registry, self.task = Registry(), TaskDecorator(self._adopt)
        self._hooks, self._lock = Hooks(), threading.RLock()
        self._imports = tuple(imports)
        self._publisher = Publisher(self.registry, encoders=self.settings.encoders)
        self._attachment = Attachment()
        self._publisher.disconnect(self._connect)
        self.canvas = Canvas(self._publisher)
        for each in tasks:
            self.register(each)

    # --- tasks

    def register(
        self,
        handler: Task[..., Any] | Callable[..., Any],
        /,
        **options: Unpack[TaskOptionsDict],
    ) -> Task[..., Any]:
        """
        Register a task, or a function as a task.

        Raises:
            DuplicateTask: If another one has its name.
            SettingsError: If it cannot work, or the app has been started.
        """
        if not isinstance(handler, Task):
            made: Task[..., Any] = self.task(**options)(handler)
            return made
        self._adopt(handler)
        return handler

    def register_exceptions(self, *classes: type[Exception]) -> None:
        """
        Let handles rebuild exceptions of *classes* as ``TaskFailedError.cause``.

        Raises:
            TypeError: If one is no subclass of Exception.
        """
        self._publisher.exceptions.add(*classes)

    def worker_init(self, hook: Hook) -> Hook:
        """Call *hook* in each worker before its first task; a decorator."""
        self._hooks.init.append(hook)
        return hook

    def worker_shutdown(self, hook: Hook) -> Hook:
        """Call *hook* in each worker that leaves in peace; a decorator."""
        self._hooks.shutdown.append(hook)
        return hook

    # --- enqueue

    def enqueue(
        self,
        name: str,
        args: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        meta: Mapping[str, object] | None = None,
        options: TaskOptions | TaskOptionsDict | None = None,
        enqueue_options: TaskEnqueueOptions | None = None,
        not_before: datetime | Duration | None = None,
    ) -> TaskHandle[object]:
        """
        Enqueue a task by its name.

        Args:
            name: The task's name or alias.
            args: Its arguments by name.
            headers: Text that travels with it.
            meta: Facts that are kept with it.
            options: How it is to be run; merged over the task's own options.
            enqueue_options: What this enqueue says; merged over all others.
            not_before: Earliest start, an instant or from now.

        Raises:
            TaskNotRegistered: If no task has that name; suggests the nearest.
            TypeError: If the arguments are not those of the handler.
            PayloadError: If an argument has no wire form; names its path.
            QueueFull: If there is no room for as long as ``enqueue_timeout``.
            AppNotStarted: If nothing runs that could take it.
        """
        call = TaskCall(
            name=name,
            args=args or {},
            headers=headers or {},
            meta=meta or {},
            options=options,
            enqueue_options=enqueue_options,
            not_before=not_before,
        )
        return self._publisher.enqueue_call(call)

    def enqueue_call(self, call: TaskCall) -> TaskHandle[object]:
        """As ``enqueue``, for a prepared call."""
        return self._publisher.enqueue_call(call)

    def enqueue_many(self, calls: Iterable[TaskCall]) -> list[TaskHandle[object]]:
        """As ``enqueue_call`` for each, in order; they cross in batches."""
        return self._publisher.enqueue_many(calls)

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
        for name in self._imports:
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, Task):
                    self._adopt(value)
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

    def _adopt(self, task: Task[..., Any]) -> None:
        self._publisher.lane(task)  # refuses options that cannot be honoured
        self.registry.add(task)
        task.attach(self._publisher)

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
        """Return a connection to a ring that is not started here; see ``Connect``."""
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
