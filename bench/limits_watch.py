"""A task that is watched from outside: when it began, was interrupted, and was gone."""

from __future__ import annotations

import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PROC = Path("/proc")
#: How often a condition is looked at while nothing happens to the processes.
LOOK_EVERY_MS = 10
CLEARING_S = 5.0


class Watch:
    """
    The reading end of a task's diary (`bench.limit_cases.Diary`); a context manager.

    All times are CLOCK_MONOTONIC nanoseconds; None while it has not happened.

    Attributes:
        path: The FIFO; the task opens it.
        pid: Of the process in which the task began.
        began_ns: First line of the handler.
        swallowed: Name of the exception that the handler got and swallowed.
        swallowed_ns: When it got it.
        raised: Name of the exception that left the handler.
        raised_ns: When it left.
        returned_ns: When the handler came to its own end.
        dead_ns: When its process was dead, as its pidfd says.
        gone_ns: When nobody had the FIFO open any more, in no process.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-limits-")
        self.path = str(Path(self._folder.name, "diary"))
        os.mkfifo(self.path)
        self._fifo = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._identity = _identity(os.fstat(self._fifo))
        self._pidfd = -1
        self._rest = b""
        self.pid = 0
        self.began_ns: int | None = None
        self.swallowed = self.raised = ""
        self.swallowed_ns: int | None = None
        self.raised_ns: int | None = None
        self.returned_ns: int | None = None
        self.dead_ns: int | None = None
        self.gone_ns: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill who is left, and remove the FIFO: nobody can open it later."""
        self.clear()
        for fd in (self._fifo, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._folder.cleanup()

    @property
    def ended_ns(self) -> int | None:
        """When the handler had ended, in whatever way; its descendants may live."""
        found = (self.raised_ns, self.returned_ns, self.dead_ns, self.gone_ns)
        return min((at for at in found if at is not None), default=None)

    @property
    def fds(self) -> list[int]:
        """What can still become readable."""
        fds = [self._fifo] if self.gone_ns is None else []
        if self._pidfd >= 0 and self.dead_ns is None:
            fds.append(self._pidfd)
        return fds

    def on_readable(self, fd: int) -> None:
        """Take note of what *fd*, one of `fds`, says."""
        if fd == self._pidfd:
            self.dead_ns = time.monotonic_ns()
            return
        text = os.read(self._fifo, 1 << 16)
        now_ns = time.monotonic_ns()
        if not text:
            # A writer came and went, or else no end of file would be told.
            self.gone_ns = now_ns
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            self._take(*line.decode().split())

    def story(self) -> str:
        """Return what has been seen so far, for an error message."""
        facts = ("pid", "began_ns", "swallowed", "raised", "dead_ns", "gone_ns")
        return ", ".join(f"{name} {getattr(self, name)}" for name in facts)

    def holders(self) -> list[int]:
        """
        Return the pids that have the FIFO open for writing: the task's own and others.

        A pool that forks from the observer's process inherits its reading end.
        """
        me = os.getpid()
        pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
        return [pid for pid in pids if pid != me and self._is_held_by(pid)]

    def clear(self) -> bool:
        """
        Kill every process that has the FIFO open, pass by pass, until none has.

        No task can open it after this, and fork-runners end by themselves.

        Returns:
            Whether none is left.
        """
        Path(self.path).unlink(missing_ok=True)
        deadline = time.monotonic() + CLEARING_S
        while self.began_ns and self.gone_ns is None and time.monotonic() < deadline:
            for pid in self.holders():
                self._kill(pid)
            look([self], lambda: self.gone_ns is not None, 0.001)
        return self.began_ns is None or self.gone_ns is not None

    def _kill(self, pid: int) -> None:
        """Kill a holder; not a stranger who got its pid since."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if self._is_held_by(pid):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(pidfd)

    def _take(self, word: str, detail: str, at: str) -> None:
        at_ns = int(at)
        match word:
            case "began":
                self.began_ns, self.pid = at_ns, int(detail)
                try:
                    self._pidfd = os.pidfd_open(self.pid)
                except ProcessLookupError:
                    self.dead_ns = time.monotonic_ns()
            case "swallowed":
                self.swallowed, self.swallowed_ns = detail, at_ns
            case "raised":
                self.raised, self.raised_ns = detail, at_ns
            case "returned":
                self.returned_ns = at_ns

    def _is_held_by(self, pid: int) -> bool:
        process = PROC / str(pid)
        try:
            fds = list((process / "fd").iterdir())
        except OSError:
            return False
        for fd in fds:
            with suppress(OSError):  # closed since it was listed
                facts = process / "fdinfo" / fd.name
                is_it = _identity(fd.stat()) == self._identity
                if is_it and _is_writing(facts.read_text()):
                    return True
        return False


def _is_writing(facts: str) -> bool:
    """Return whether an ``fdinfo`` is that of a descriptor open for writing only."""
    flags = next(line for line in facts.splitlines() if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE == os.O_WRONLY


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def look(
    watches: Sequence[Watch], condition: Callable[[], bool], timeout_s: float
) -> bool:
    """
    Watch until *condition* holds; a death is noted the moment the kernel tells it.

    Returns:
        Whether it holds; False after *timeout_s*.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        left_ms = (deadline - time.monotonic()) * 1000
        if left_ms <= 0:
            return False
        poll = select.poll()
        owners = {fd: watch for watch in watches for fd in watch.fds}
        for fd in owners:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(min(left_ms, LOOK_EVERY_MS)):
            owners[fd].on_readable(fd)
    return True
