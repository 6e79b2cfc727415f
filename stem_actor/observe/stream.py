"""EventStream, AsyncEventStream: events one by one, as they happen."""

from __future__ import annotations

import asyncio
import select
import threading
import time
from types import TracebackType
from typing import Final, Self

from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.events import Event
from stem_actor.observe.subscription import Subscription

__all__ = ["AsyncEventStream", "EventStream"]

#: How long a supervisor may take to be there, and to say that it listens.
_READY_S: Final = 10.0


class _Stream:
    """What both streams have."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    @property
    def dropped(self) -> int:
        """How many events were lost because they were not taken in time."""
        return self._subscription.dropped

    @property
    def gaps(self) -> int:
        """How often the supervisor was replaced, with some events lost each time."""
        return self._subscription.gaps

    def end(self) -> None:
        """End with the last event that has come; from any thread."""
        self._subscription.end()


class EventStream(_Stream):
    """
    An iterator over events; ends when the app is stopped, or it is closed.

    For one thread at a time; ``close`` may come from any. Events are kept from the
    moment it is made, at most 10,000: of more, the newest.
    """

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(subscription)
        # Of whoever waits; a signal handler of the same thread may close.
        self._lock = threading.RLock()
        self._is_left = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self._next(None)
        if event is None:
            raise StopIteration
        return event

    def get(self, timeout: Duration | None = None) -> Event | None:
        """
        Return the next event; None when there was none for *timeout*, or no more
        will come.
        """
        until = None
        if timeout is not None:
            until = time.monotonic() + to_ns(timeout, "timeout") / 1e9
        return self._next(until)

    def close(self) -> None:
        """End it at once, whoever waits for it."""
        self._is_left = True
        self._subscription.wake()
        with self._lock:
            self._subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def until_ready(self) -> None:
        """
        Wait until the supervisor listens.

        Raises:
            BrokerUnavailable: If there is none for 10 s.
        """
        until = time.monotonic() + _READY_S
        with self._lock:
            while not self._subscription.ready.is_set():
                self._subscription.step()
                if time.monotonic() >= until:
                    self._subscription.close()
                    raise self._subscription.no_supervisor()
                if not self._subscription.ready.is_set():
                    self._wait(until)

    # --- inside

    def _next(self, until: float | None) -> Event | None:
        subscription = self._subscription
        with self._lock:
            while not self._is_left:
                if subscription.events:
                    return subscription.events.popleft()
                if subscription.is_closed:
                    return None
                subscription.step()
                # `close` sets the flag before it wakes, and the step has taken that.
                if subscription.events or subscription.is_closed or self._is_left:
                    continue
                if until is not None and time.monotonic() >= until:
                    return None
                self._wait(until)
        return None

    def _wait(self, until: float | None) -> None:
        patience = self._subscription.patience_s()
        if until is not None:
            left = max(0.0, until - time.monotonic())
            patience = left if patience is None else min(patience, left)
        poller = select.poll()
        for fd in self._subscription.descriptors():
            poller.register(fd, select.POLLIN)
        # Rounded up: what is left of a millisecond would be spent awake.
        poller.poll(None if patience is None else patience * 1000 + 1)


class AsyncEventStream(_Stream):
    """
    An asynchronous iterator over events; ends when the app is stopped.

    It listens from its first ``async with`` or ``async for`` step on. For one task at
    a time, in one loop; there is no thread.
    """

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(subscription)
        self._woken: asyncio.Future[None] | None = None
        self._is_left = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        subscription = self._subscription
        while True:
            if subscription.events:
                return subscription.events.popleft()
            if self._is_left:
                subscription.close()
            if subscription.is_closed:
                raise StopAsyncIteration
            subscription.step()
            if not subscription.events and not subscription.is_closed:
                await self._wait(subscription.patience_s())

    async def aclose(self) -> None:
        """End it, whoever waits for it."""
        self._is_left = True
        if self._woken is None:
            self._subscription.close()
        else:  # whoever waits has the descriptors in its loop, and closes them
            _resolve(self._woken)

    async def __aenter__(self) -> Self:
        """
        Wait until the supervisor listens.

        Raises:
            BrokerUnavailable: If there is none for 10 s.
        """
        until = time.monotonic() + _READY_S
        subscription = self._subscription
        while not subscription.ready.is_set():
            subscription.step()
            left = until - time.monotonic()
            if left <= 0:
                subscription.close()
                raise subscription.no_supervisor()
            if not subscription.ready.is_set():
                patience = subscription.patience_s()
                await self._wait(left if patience is None else min(patience, left))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _wait(self, patience_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._woken, timer = woken, None
        if patience_s is not None:
            timer = loop.call_later(patience_s, _resolve, woken)
        descriptors = self._subscription.descriptors()
        for fd in descriptors:
            loop.add_reader(fd, _resolve, woken)
        try:
            await woken
        finally:
            self._woken = None
            for fd in descriptors:
                loop.remove_reader(fd)
            if timer is not None:
                timer.cancel()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
