"""
The zygote: it holds the user's code, and its only verb is fork.

Single-threaded and without state of its own beyond the epoch it was fenced to, so a
spare is the same thing: a copy that sleeps on a socket of its own until the guardian
speaks to it instead.
"""

from __future__ import annotations

import errno
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from stem_actor.actor.tree import birth, hygiene, verbs
from stem_actor.actor.tree.verbs import Message, Verb


@dataclass(frozen=True, slots=True)
class Image:
    """
    The user's code as the zygote needs it.

    Attributes:
        prepare: Runs once in the zygote before it serves: imports, as a rule.
        body: Runs in each worker.
    """

    prepare: Callable[[], None] | None
    body: Callable[[birth.Birth], None]


@dataclass(frozen=True, slots=True)
class Cradle:
    """What every worker of one tree has in common."""

    guardian: int
    directory: str
    bell_fd: int


class Zygote:
    """Forks on demand until the guardian hangs up."""

    def __init__(self, line: socket.socket, cradle: Cradle, image: Image) -> None:
        self._line = line
        self._cradle = cradle
        self._image = image
        self._epoch = 0

    def serve(self) -> NoReturn:
        """Do what the guardian says, one thing after another."""
        while True:
            heard = verbs.receive(self._line)
            if heard is None:
                os._exit(0)
            message, fd = heard
            try:
                self._obey(message, fd)
            finally:
                if fd >= 0:
                    os.close(fd)

    def _obey(self, message: Message, fd: int) -> None:
        if message.verb is Verb.FORK:
            verbs.send(self._line, self._bear(message, fd))
        elif message.verb is Verb.BARRIER:
            # Requests are served in order, so all earlier ones are finished here.
            self._epoch = max(self._epoch, message.epoch)
            verbs.send(self._line, message)
        elif message.verb is Verb.SPARE:
            verbs.send(self._line, Message(Verb.SPARE, pid=self._copy(fd)))

    def _bear(self, fork: Message, wake_fd: int) -> Message:
        """Return BORN for *fork*."""
        newborn = birth.Birth(
            index=fork.worker,
            epoch=fork.epoch,
            incarnation=fork.incarnation,
            bell_fd=self._cradle.bell_fd,
            wake_fd=wake_fd,
            directory=self._cradle.directory,
            parent_pid=self._cradle.guardian,
        )
        pid, error = 0, errno.ESTALE
        if fork.epoch >= self._epoch:
            try:
                leave = self._line.close
                pid, error = birth.bear(newborn, self._image.body, leave=leave), 0
            except OSError as failure:
                error = failure.errno or errno.EIO
        return Message(
            Verb.BORN,
            worker=fork.worker,
            epoch=fork.epoch,
            incarnation=fork.incarnation,
            pid=pid,
            value=error,
        )

    def _copy(self, line_fd: int) -> int:
        """Make a spare that listens on *line_fd*; return its pid, 0 if that failed."""

        def life(report: int) -> NoReturn:
            self._line.close()
            self._line = socket.socket(fileno=os.dup(line_fd))
            os.close(line_fd)
            birth.report_adopted(self._cradle.guardian, report)
            self.serve()

        try:
            return birth.bear_adopted(life)
        except OSError as failure:
            hygiene.complain(f"no spare zygote: {failure}")
            return 0


def run(line_fd: int, status_fd: int, cradle: Cradle, image: Image) -> NoReturn:
    """
    Become the zygote, in a process that the guardian has just forked.

    Args:
        line_fd: Our end of the guardian's socket.
        status_fd: The pipe to the host; closed once the preparation is over.
    """
    keep = frozenset({line_fd, status_fd, cradle.bell_fd})
    lost = hygiene.enter_zygote(cradle.guardian, keep)
    if lost:
        hygiene.complain(
            f"workers do not have these connections: {', '.join(lost)}; "
            "open what tasks need in worker_init"
        )
    try:
        if image.prepare is not None:
            image.prepare()
    except BaseException as error:
        reason = " ".join(f"{type(error).__name__}: {error}".splitlines())
        traceback.print_exc()
        os.write(status_fd, f"failed: {reason}\n".encode(errors="backslashreplace"))
        raise
    os.close(status_fd)
    threads = hygiene.thread_names()
    if threads:
        hygiene.complain(
            f"threads run in the zygote: {', '.join(threads)}; a worker may inherit a "
            'lock that one of them holds; start_method="spawn" avoids that'
        )
    hygiene.settle_zygote()
    Zygote(socket.socket(fileno=line_fd), cradle, image).serve()
