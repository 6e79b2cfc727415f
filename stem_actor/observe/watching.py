"""Watching: the verbs by which an app's events are listened to."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar, overload

from stem_actor.ids import parse_id
from stem_actor.model.events import Event, WorkerEventType
from stem_actor.observe.listeners import Listeners
from stem_actor.observe.reading import EventKind, kinds_of
from stem_actor.observe.stream import AsyncEventStream, EventStream
from stem_actor.observe.subscription import Subscription
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.ring.directory import RingDirectory

__all__ = ["Watching"]

E = TypeVar("E", bound=Event)
R = TypeVar("R")


class Watching(ABC):
    """
    The events of a ring, for listeners and as streams.

    Events are told in the order in which they happen to a task; they are no record:
    what is not taken in time is dropped and counted, and a supervisor that dies takes
    some with it. What a task has come to is kept in its status.
    """

    def __init__(self, encoders: TaskPayloadEncoderRegistry) -> None:
        """*encoders* decode what events tell of errors and progress."""
        self._encoders = encoders
        self._listeners = Listeners(encoders)
        self._streams: weakref.WeakSet[EventStream | AsyncEventStream] = (
            weakref.WeakSet()
        )

    @abstractmethod
    def _running_ring(self) -> RingDirectory:
        """
        Return where the ring lies that runs here, or that others run.

        Raises:
            AppNotStarted: If there is none.
        """

    @overload
    def on(
        self, kind: type[E], /
    ) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...
    @overload
    def on(
        self, kind: WorkerEventType, /
    ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
    def on(self, kind: EventKind, /) -> Callable[[Callable[..., R]], Callable[..., R]]:
        """
        Call a function with each event of *kind*; a decorator.

        Listeners are called one after another, in order, in a thread that begins
        with the first of them that has a ring to listen to. What one raises is
        logged. On a ring that others run, listening begins with the first call that
        needs it, such as an enqueue.

        Args:
            kind: A class of events, which stands for those derived from it, too; or
                a ``WorkerEventType``.

        Raises:
            TypeError: If *kind* is neither, or the function a coroutine function.
        """
        classes = kinds_of([kind])

        def listen(listener: Callable[..., R]) -> Callable[..., R]:
            self._listeners.add(classes, listener)
            ring = self._ring_in_use()
            if ring is not None:
                self._listeners.start(ring)
            return listener

        return listen

    def events(
        self, *, task_id: str | None = None, types: Iterable[EventKind] = ()
    ) -> EventStream:
        """
        Return an iterator over the events from now on.

        Args:
            task_id: Only of this task.
            types: Only of these kinds, see ``on``; none: of all.

        Raises:
            ValueError: If *task_id* is no task id.
            AppNotStarted: If there is no ring.
            BrokerUnavailable: If nobody runs it.
        """
        stream = EventStream(self._subscribe(task_id, types))
        stream.until_ready()
        self._streams.add(stream)
        return stream

    def events_async(
        self, *, task_id: str | None = None, types: Iterable[EventKind] = ()
    ) -> AsyncEventStream:
        """
        As ``events``, for ``async for``; ``async with`` waits until it listens.

        Raises:
            ValueError: If *task_id* is no task id.
            AppNotStarted: If there is no ring.
        """
        stream = AsyncEventStream(self._subscribe(task_id, types))
        self._streams.add(stream)
        return stream

    # --- for the app

    @abstractmethod
    def _ring_in_use(self) -> RingDirectory | None:
        """Return the ring that is started or attached; None: there is none yet."""

    def _end_watching(self) -> None:
        """The ring has ended, or is left."""
        for stream in list(self._streams):
            stream.end()
        self._listeners.stop()

    # --- inside

    def _subscribe(
        self, task_id: str | None, types: Iterable[EventKind]
    ) -> Subscription:
        raw_id = None if task_id is None else parse_id(task_id)
        classes, ring = kinds_of(types), self._running_ring()
        return Subscription(ring, classes, raw_id, encoders=self._encoders)
