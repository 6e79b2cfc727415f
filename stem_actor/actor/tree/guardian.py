"""The guardian as its host sees it."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress


class Guardian:
    """
    A handle on the guardian of one tree; not for use after a fork of the host.

    Attributes:
        pid: Its pid. It is no child of the host.
        pidfd: Readable once it has ended and everything below it is gone.
        status_fd: Non-blocking read end of the status pipe: lines ``ready`` and
            ``failed: REASON``, end of file when guardian and supervisor are gone.
    """

    def __init__(self, pid: int, pidfd: int, status_fd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.status_fd = status_fd
        self._unread = b""

    def is_alive(self) -> bool:
        """Return whether it has not ended."""
        return not self.wait(0)

    def wait(self, timeout_s: float | None = None) -> bool:
        """
        Wait until the tree is gone.

        Args:
            timeout_s: Seconds; None waits for ever.

        Returns:
            Whether it is gone.
        """
        if self.pidfd < 0:
            return True  # closed after its end
        gone = _readable(self.pidfd, timeout_s)
        if gone:
            # A host that is PID 1 of a container, or a reaper, was given it as a child.
            with suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        return gone

    def wait_status(self, timeout_s: float) -> str | None:
        """
        Return the next line of the status pipe.

        Args:
            timeout_s: Seconds to wait for it.

        Returns:
            The line without its end, ``""`` at the end of the pipe, None in vain.
        """
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            if not _readable(self.status_fd, max(0.0, deadline - time.monotonic())):
                return None
            try:
                piece = os.read(self.status_fd, 4096)
            except BlockingIOError:
                continue
            if not piece:
                return ""
            self._unread += piece
        line, self._unread = self._unread.split(b"\n", 1)
        return line.decode(errors="replace")

    def end(self, *, keep: bool = False) -> None:
        """
        Have it kill everything below it at once, and end; does not wait.

        Args:
            keep: Whether the directory stays; then it is killed, and the kernel ends
                what is below it.
        """
        if self.pidfd < 0:
            return
        with suppress(ProcessLookupError):
            number = signal.SIGKILL if keep else signal.SIGQUIT
            signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        """Close the two descriptors; the tree goes on."""
        for number in (self.pidfd, self.status_fd):
            if number >= 0:
                os.close(number)
        self.pidfd = self.status_fd = -1


def _readable(number: int, timeout_s: float | None) -> bool:
    poller = select.poll()
    poller.register(number, select.POLLIN)
    return bool(poller.poll(None if timeout_s is None else timeout_s * 1000))
