"""A worker body that evaluates what a test sends it, and the test's end of the line."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from stem_actor.actor.tree.birth import Birth

DEADLINE_S = 20.0


def body_for(path: str) -> Callable[[Birth], None]:
    """Return a body that serves the test that listens on *path*."""

    def body(birth: Birth) -> None:
        serve(path, birth)

    return body


def serve(path: str, birth: Birth) -> None:
    """Say who we are, then evaluate one expression per packet until hung up on."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.connect(path)
    line.send(json.dumps({"index": birth.index, "pid": os.getpid()}).encode())
    scope = {"os": os, "sys": sys, "signal": signal, "birth": birth, "spawn": spawn}
    while packet := line.recv(65536):
        value = eval(packet.decode(), scope)  # noqa: S307 - our own test speaks
        line.send(json.dumps(value).encode())


def spawn(kind: str) -> int:
    """Start a descendant that sleeps for ever: ``plain``, ``setsid`` or ``double``."""
    inlet, outlet = os.pipe()
    child = os.fork()
    if child == 0:
        if kind == "double" and os.fork() != 0:
            os._exit(0)
        if kind != "plain":
            os.setsid()
        os.write(outlet, str(os.getpid()).encode())
        while True:
            signal.pause()
    os.close(outlet)
    pid = int(os.read(inlet, 32))
    os.close(inlet)
    if kind == "double":
        os.waitpid(child, 0)
    return pid


class Actor:
    """One living worker, as a test holds it."""

    def __init__(self, line: socket.socket) -> None:
        line.settimeout(DEADLINE_S)
        self.line = line
        facts = json.loads(line.recv(65536))
        self.index: int = facts["index"]
        self.pid: int = facts["pid"]

    def ask(self, expression: str) -> Any:
        """Return what *expression* is in the worker."""
        self.line.send(expression.encode())
        return json.loads(self.line.recv(65536))

    def tell(self, expression: str) -> None:
        """Have *expression* evaluated without waiting for an answer."""
        self.line.send(expression.encode())


class Watch:
    """A process that is no child of ours, by pidfd."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self.fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.fd = -1

    def is_gone(self, within_s: float = DEADLINE_S) -> bool:
        """Return whether it has ended, waiting at most *within_s*."""
        if self.fd < 0:
            return True
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        return bool(poller.poll(within_s * 1000))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, if it is still there."""
        if self.fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.fd, number)

    def close(self) -> None:
        """Close the pidfd."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def until(condition: Callable[[], bool], within_s: float = DEADLINE_S) -> bool:
    """Poll a condition that has no event of its own, yielding the processor."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select((), (), (), 0.002)
    return True
