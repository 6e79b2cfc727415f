"""Attachment: how a process comes to a connection to a ring that another one runs."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from stem_actor.actor.host.connection import Connection
from stem_actor.actor.host.meeting import Meeting
from stem_actor.errors import BrokerUnavailable
from stem_actor.ring.directory import RingDirectory

__all__ = ["Attachment", "attach", "connect"]

_ANSWER_S: Final = 10.0
#: The same for a plain call in an event loop: nothing else runs there meanwhile. An
#: answer takes a millisecond, and a supervisor is replaced within half a second.
_IN_LOOP_S: Final = 1.0


class Attachment:
    """
    The first use of a ring that others run, for one caller at a time.

    A meeting that has led to nothing yet is kept: the next call goes on with it.
    """

    def __init__(self) -> None:
        self._meeting: Meeting | None = None
        self._pid = 0

    def connect(self, directory: RingDirectory, *, patiently: bool) -> Connection:
        """
        Return a connection to the ring at *directory*.

        Args:
            directory: Of the ring.
            patiently: Wait for the answer, 10 s at most and in an event loop 1 s;
                else take one step, which does not wait.

        Raises:
            RingError: If the supervisor takes no more producers, and says why.
            BrokerUnavailable: If nobody runs it, or none has answered yet.
        """
        meeting = self._meeting
        if meeting is None or self._pid != os.getpid():
            meeting, self._pid = _meet(directory), os.getpid()
        self._meeting = None
        in_loop = asyncio._get_running_loop() is not None
        if patiently:
            return connect(meeting, _IN_LOOP_S if in_loop else _ANSWER_S)
        try:
            if meeting.step():
                return Connection(meeting)
        except BaseException:
            meeting.close()
            raise
        self._meeting = meeting
        raise meeting.no_answer()

    def close(self) -> None:
        """Give up what has led to nothing."""
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            meeting.close()


def connect(meeting: Meeting, timeout_s: float = _ANSWER_S) -> Connection:
    """
    Wait for the supervisor's answer, and return the connection.

    Raises:
        RingError: If it takes no more producers, and says why.
        BrokerUnavailable: If none answers in time. The meeting is closed.
    """
    try:
        meeting.wait(timeout_s)
        return Connection(meeting)
    except BaseException:
        meeting.close()
        raise


def attach(directory: RingDirectory) -> Connection:
    """
    Attach to a ring that another process runs.

    Raises:
        RingError: If the supervisor takes no more producers, and says why.
        BrokerUnavailable: If nobody runs it.
    """
    return connect(_meet(directory))


def _meet(directory: RingDirectory) -> Meeting:
    if directory.owner() is None:
        raise BrokerUnavailable(
            f"no supervisor runs the ring at {directory.path}",
            hint="start the app, or run stem-actor worker",
        )
    return Meeting(directory)
