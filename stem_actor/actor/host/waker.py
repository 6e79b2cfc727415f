"""LoopWaker: the event loops that wait for replies, and the eventfd that wakes them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from stem_actor.errors import RingError

__all__ = ["LoopWaker"]


class _EventFd:
    """An eventfd that is closed with its last user, however late that one leaves."""

    def __init__(self) -> None:
        self.number: Final = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


@dataclass(slots=True)
class _Listener:
    """One loop that has the eventfd registered, and who waits in it."""

    wake: _EventFd
    futures: set[asyncio.Future[None]] = field(default_factory=set)


class LoopWaker:
    """
    Wakes the coroutines that wait, each in its own loop.

    Only a loop's own thread adds and removes its reader. ``close`` may come from any
    thread: the number of the eventfd stays taken until the last loop has let go, so
    no loop ever reads, or removes, a descriptor that somebody else got meanwhile.

    Attributes:
        on_wake: Called in a loop that the supervisor has woken.
    """

    def __init__(self) -> None:
        self.on_wake: Callable[[], object] = bool
        self._wake: _EventFd | None = _EventFd()
        self._loops: dict[asyncio.AbstractEventLoop, _Listener] = {}

    @property
    def has_loops(self) -> bool:
        """Whether any coroutine waits."""
        return bool(self._loops)

    @property
    def fd(self) -> int:
        """
        The eventfd's number; good for as long as the caller keeps ``close`` away.

        Raises:
            RingError: If it is closed.
        """
        return self._open().number

    def listen(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return a future that is done when something may have come; in *loop*."""
        wake = self._open()
        listener = self._loops.get(loop)
        if listener is None:
            loop.add_reader(wake.number, self._wake_up, wake)
            listener = self._loops[loop] = _Listener(wake)
        future: asyncio.Future[None] = loop.create_future()
        listener.futures.add(future)
        return future

    def unlisten(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]
    ) -> None:
        """Nobody waits for *future* any more; in *loop*."""
        listener = self._loops.get(loop)
        if listener is None:
            return
        listener.futures.discard(future)
        if not listener.futures:
            # A loop that is closed later must not keep a reader of ours.
            self._leave(loop)

    def wake(self) -> None:
        """Wake every coroutine that waits; from any thread."""
        for loop, listener in list(self._loops.items()):
            for future in list(listener.futures):
                if not future.done() and not _call(loop, _resolve, future):
                    self._loops.pop(loop, None)
                    break

    def close(self) -> None:
        """Let every loop go; from any thread, more than once."""
        self._wake = None
        for loop in list(self._loops):
            if not _call(loop, self._leave, loop):
                self._loops.pop(loop, None)

    # --- inside

    def _open(self) -> _EventFd:
        wake = self._wake
        if wake is None:
            raise RingError("the connection to the ring is closed")
        return wake

    def _wake_up(self, wake: _EventFd) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(wake.number)
        if self._wake is not None:
            self.on_wake()
        self.wake()

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        listener = self._loops.pop(loop, None)
        if listener is None:
            return
        loop.remove_reader(listener.wake.number)
        for future in listener.futures:
            _resolve(future)


def _call(
    loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object
) -> bool:
    """Call *function* in *loop*'s thread; False if the loop is closed, and so has
    no reader any more."""
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        return False
    return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
