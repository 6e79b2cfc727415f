"""Listeners: the functions that are called with events, and the thread that does it."""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final

from stem_actor.model.events import Event
from stem_actor.observe.stream import EventStream
from stem_actor.observe.subscription import Subscription
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.ring.directory import RingDirectory

__all__ = ["Listener", "Listeners"]

Listener = Callable[[Any], object]

#: How long a new listener waits for the supervisor, and a stop for those that run.
_PATIENCE_S: Final = 5.0

_log = logging.getLogger("stem_actor")


class Listeners:
    """
    Calls each listener with the events it asked for, in order, in one thread.

    The thread is there only while there are listeners and a ring: before its start a
    program stays without threads, so that it can be forked.
    """

    def __init__(self, encoders: TaskPayloadEncoderRegistry | None = None) -> None:
        """*encoders* decode what events tell; None: they stay as they are."""
        self._encoders = encoders
        self._entries: tuple[tuple[tuple[type[Event], ...], Listener], ...] = ()
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None
        self._thread: threading.Thread | None = None

    def add(self, classes: tuple[type[Event], ...], listener: Listener) -> None:
        """
        Call *listener* with each event of *classes*.

        Raises:
            TypeError: If it is a coroutine function: nobody would await it.
        """
        if inspect.iscoroutinefunction(listener):
            raise TypeError(
                f"{listener!r} is a coroutine function: a listener is called in a "
                "thread; use `async for event in app.events_async()`"
            )
        with self._lock:
            self._entries = (*self._entries, (classes, listener))
            subscription = self._subscription
            if subscription is not None:
                subscription.ask(self._classes())
        if subscription is not None and self._thread is not threading.current_thread():
            subscription.ready.wait(_PATIENCE_S)

    def start(self, directory: RingDirectory) -> None:
        """Listen to the ring, if there is a listener; waits until it is heard."""
        with self._lock:
            if not self._entries or self._subscription is not None:
                return
            subscription = Subscription(
                directory, self._classes(), None, encoders=self._encoders
            )
            self._subscription = subscription
            self._thread = threading.Thread(
                target=self._run,
                args=(EventStream(subscription),),
                name="stem-events",
                daemon=True,  # a listener that never returns keeps no program alive
            )
            self._thread.start()
        subscription.ready.wait(_PATIENCE_S)

    def stop(self) -> None:
        """Call for what has come, then let the thread go."""
        with self._lock:
            subscription, self._subscription = self._subscription, None
            thread, self._thread = self._thread, None
        if subscription is not None:
            subscription.end()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE_S)

    def forget(self) -> None:
        """In a child of a fork: the thread is not here, and the lock may be held."""
        self._lock = threading.Lock()
        self._subscription = self._thread = None

    # --- inside

    def _classes(self) -> tuple[type[Event], ...]:
        return tuple({cls for classes, _ in self._entries for cls in classes})

    def _run(self, stream: EventStream) -> None:
        pid = os.getpid()
        try:
            for event in stream:
                for classes, listener in self._entries:
                    if isinstance(event, classes):
                        _call(listener, event)
        except Exception:
            _log.exception("listeners are called no more")
        finally:
            if os.getpid() == pid:
                stream.close()


def _call(listener: Listener, event: Event) -> None:
    try:
        listener(event)
    except BaseException:  # SystemExit, too, would end the others
        _log.exception("the listener %r failed for %r", listener, event)
