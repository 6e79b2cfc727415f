"""A whole tree under test: launched here, with the test as the supervisor's mind."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stem_actor.actor.tree import verbs
from stem_actor.actor.tree.launch import LaunchSpec, launch
from stem_actor.actor.tree.verbs import Message, Verb
from tests.process.actor import DEADLINE_S, Actor, Watch, body_for, until

if TYPE_CHECKING:
    from stem_actor.actor.tree.guardian import Guardian

FAKE_SUPERVISOR = Path(__file__).with_name("fake_supervisor.py")


class Supervisor:
    """One supervisor process, spoken for by the test."""

    def __init__(self, line: socket.socket) -> None:
        line.settimeout(DEADLINE_S)
        self.line = line
        self.pid = int(line.recv(64))
        self.watch = Watch(self.pid)
        self._passed_over: deque[Message] = deque()

    def say(self, verb: Verb, *, fd: int = -1, **fields: int) -> None:
        """Send a message to the guardian."""
        verbs.send(self.line, Message(verb, **fields), fd=fd)

    def hear(self, verb: Verb, **fields: int) -> Message:
        """Return the next message that fits, keeping the others for later."""

        def fits(message: Message) -> bool:
            wanted = {"verb": verb, **fields}
            return all(getattr(message, name) == it for name, it in wanted.items())

        for message in self._passed_over:
            if fits(message):
                self._passed_over.remove(message)
                return message
        while True:
            message = self.next()
            if fits(message):
                return message
            self._passed_over.append(message)

    def next(self) -> Message:
        """Return the next message, whatever it is."""
        heard = verbs.receive(self.line)
        assert heard is not None, "the supervisor has ended"
        return heard[0]

    def fork(self, worker: int, *, epoch: int = 1, incarnation: int = 1) -> Message:
        """Ask for a worker; return BORN, with WATCHING said if it was born."""
        self.say(Verb.FORK, worker=worker, epoch=epoch, incarnation=incarnation)
        born = self.hear(Verb.BORN, worker=worker)
        if born.pid:
            self.say(Verb.WATCHING, pid=born.pid)
        return born


class Tree:
    """Guardian, supervisor, zygote and workers, with a line to each of them."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.directory = root / "runtime"
        self.directory.mkdir(mode=0o700)
        self._supervisors = self._listen("supervisor.sock")
        self._actors = self._listen("actor.sock")
        self._open: list[socket.socket] = [self._supervisors, self._actors]
        self._watches: list[Watch] = []
        self.settings: dict[str, Any] = {
            "directory": str(self.directory),
            "supervisor_argv": (
                sys.executable,
                "-I",
                str(FAKE_SUPERVISOR),
                str(root / "supervisor.sock"),
            ),
            "worker_body": body_for(str(root / "actor.sock")),
            "start_method": "fork",  # a thread of pytest-timeout is harmless here
            "remove_directory": True,
            **settings,
        }
        self.guardian: Guardian | None = None

    def launch(self) -> Supervisor:
        """Start the tree; return its first supervisor."""
        self.guardian = launch(LaunchSpec(**self.settings))
        return self.supervisor()

    def supervisor(self) -> Supervisor:
        """Return the next supervisor that starts."""
        line, _address = self._supervisors.accept()
        self._open.append(line)
        supervisor = Supervisor(line)
        self._watches.append(supervisor.watch)
        return supervisor

    def actor(self) -> Actor:
        """Return the next worker whose body begins."""
        line, _address = self._actors.accept()
        self._open.append(line)
        return Actor(line)

    def no_actor_waits(self) -> bool:
        """Return whether no worker's body has begun that was not accepted."""
        self._actors.settimeout(0)
        try:
            self._open.append(self._actors.accept()[0])
        except BlockingIOError:
            return True
        finally:
            self._actors.settimeout(DEADLINE_S)
        return False

    def settle(self, supervisor: Supervisor) -> None:
        """Return once the guardian has acted on all that *supervisor* has said."""
        log = self.directory / "supervisor.log"
        before = log.read_text().count("which is no verb")
        # What it does about one message is done before it reads the second of these.
        for wanted in (before + 1, before + 2):
            supervisor.say(Verb.SIGNAL)
            assert until(partial(_mentions, log, "which is no verb", wanted))

    def watch(self, pid: int) -> Watch:
        """Return a watch on *pid* that is closed with the tree."""
        watch = Watch(pid)
        self._watches.append(watch)
        return watch

    def zygotes(self) -> list[int]:
        """Return zygote and spare, oldest first."""
        assert self.guardian is not None
        return zygotes_of(self.guardian.pid)

    def child(self, name: str) -> int:
        """Return the guardian's child that runs program *name*, once it does."""
        assert self.guardian is not None
        guardian = self.guardian.pid
        found: list[int] = []

        def runs() -> bool:
            for pid in children_of(guardian):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    found.append(pid)
            return bool(found)

        assert until(runs)
        return found[0]

    def close(self) -> None:
        """End everything and see that it ended."""
        if self.guardian is not None:
            self.guardian.end()
            gone = self.guardian.wait(DEADLINE_S)
            if not gone:
                signal.pidfd_send_signal(self.guardian.pidfd, signal.SIGKILL)
            self.guardian.close()
            assert gone, "the guardian did not end"
        for line in self._open:
            line.close()
        for watch in self._watches:
            watch.close()

    def _listen(self, name: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self.root / name))
        listener.listen(64)
        listener.settimeout(DEADLINE_S)
        return listener


def _mentions(log: Path, phrase: str, count: int) -> bool:
    return log.read_text().count(phrase) >= count


def children_of(pid: int) -> list[int]:
    """Return the children of *pid*."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def zygotes_of(guardian: int) -> list[int]:
    """Return zygote and spare of *guardian*, oldest first."""
    found: list[tuple[int, int]] = []
    for child in children_of(guardian):
        try:
            name, rest = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = rest.split()
        if "stem-zygote" in name and fields[0] != "Z":
            found.append((int(fields[19]), child))
    return [pid for _start, pid in sorted(found)]


def environment() -> dict[str, str]:
    """Return an environment in which a fresh interpreter finds package and tests."""
    kept = dict(os.environ)
    kept.pop("PYTHONUNBUFFERED", None)  # what is never buffered is never doubled
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}
