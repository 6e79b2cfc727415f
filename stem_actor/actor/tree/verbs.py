"""
What guardian, supervisor and zygote say to each other.

One message is one SOCK_SEQPACKET packet of 64 bytes and carries at most one
descriptor. ``native/guardian.h`` holds the same struct and the same numbers.

========  =========  ==========================================================
verb      direction  meaning
========  =========  ==========================================================
FORK      S→G→Z      make worker (worker, epoch, incarnation); fd: its wake word
WATCHING  S→G        the supervisor holds a pidfd of *pid*, which may be reaped
READY     S→G        first completed step: the budget of deaths starts afresh
SHUTDOWN  S→G        end everything, exit with *value*
BORN      Z→G→S      *pid* is the worker asked for; or pid 0, value errno:
                     EAGAIN ask again, ESRCH no zygote is left. With a pid,
                     EBUSY: a worker that the fence could not kill
DIED      G→S        value: raw wait status; a-d: user ns, system ns, peak KiB,
                     minor faults << 32 | major faults
SWEPT     G→S        what dead worker *pid* left is dead too; a: how many
ZYGOTE    G→S        value: a ``ZygoteNews``
SIGNAL    G→S        the command line's process got signal *value*
BARRIER   G→Z→G      earlier requests are finished; older epochs are refused
SPARE     G→Z→G      make a spare zygote; fd: its socket; answer: its *pid*
========  =========  ==========================================================
"""

from __future__ import annotations

import array
import socket
import struct
from dataclasses import astuple, dataclass
from enum import IntEnum

_FORM = struct.Struct("<4I2i4Q8x")
SIZE = _FORM.size


class Verb(IntEnum):
    """What a message is about; the numbers are those of ``enum sa_verb``."""

    FORK = 1
    WATCHING = 2
    READY = 3
    SHUTDOWN = 4
    BORN = 5
    DIED = 6
    SWEPT = 7
    ZYGOTE = 8
    SIGNAL = 9
    BARRIER = 10
    SPARE = 11


class ZygoteNews(IntEnum):
    """The value of a ZYGOTE message."""

    DIED = 1
    REPLACED = 2
    NONE_LEFT = 3


@dataclass(frozen=True, slots=True)
class Message:
    """One message; a field that its verb does not use is 0."""

    verb: Verb
    worker: int = 0
    epoch: int = 0
    incarnation: int = 0
    pid: int = 0
    value: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0

    def pack(self) -> bytes:
        """Return the 64 bytes of the wire form."""
        return _FORM.pack(*astuple(self))

    @classmethod
    def unpack(cls, packet: bytes) -> Message:
        """
        Return the message in *packet*.

        Raises:
            ValueError: If it has not 64 bytes or an unknown verb.
        """
        if len(packet) != SIZE:
            raise ValueError(f"a message has {SIZE} bytes, not {len(packet)}")
        verb, *fields = _FORM.unpack(packet)
        return cls(Verb(verb), *fields)


def send(line: socket.socket, message: Message, *, fd: int = -1) -> None:
    """
    Send *message*; *fd* travels along and stays the caller's, -1 for none.

    Raises:
        OSError: If the peer is gone, or BlockingIOError if a non-blocking *line* is
            full.
    """
    if fd < 0:
        line.send(message.pack())
    else:
        socket.send_fds(line, [message.pack()], [fd])


def receive(line: socket.socket) -> tuple[Message, int] | None:
    """
    Receive one message and the descriptor that came with it (-1: none).

    The descriptor is the caller's and close-on-exec.

    Returns:
        None when the peer has closed.

    Raises:
        ValueError: If the packet is no message.
        OSError: As of ``recvmsg``; BlockingIOError if a non-blocking *line* is empty.
    """
    fds = array.array("i")
    packet, ancillary, _flags, _address = line.recvmsg(
        SIZE + 1, socket.CMSG_SPACE(fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: fds.itemsize])
    if not packet:
        return None
    return Message.unpack(packet), fds[0] if fds else -1
