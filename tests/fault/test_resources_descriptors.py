"""F9: a worker, or the supervisor, has no descriptor left."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psutil
import pytest

from stem_actor import StemApp
from stem_actor.actor.host.attachment import attach
from stem_actor.errors import TaskFailedError
from stem_actor.ring.directory import RingDirectory
from tests.fault.chaos import Tree
from tests.fault.conftest import Footprint, Place
from tests.fault.scarcity import add_handlers, lend_descriptors
from tests.fault.soak import wait_until


@pytest.mark.parametrize("keep", [False, True])
def test_a_handler_out_of_descriptors_fails_and_the_next_tasks_do_not(
    place: Place, keep: bool
) -> None:
    with add_handlers(place.app(workers=1)) as app:
        supervisor = app.directory.owner()
        greedy = app.enqueue("open_all", {"room": 8, "keep": keep})

        with pytest.raises(TaskFailedError) as caught:
            greedy.result(20)
        # One after the other, so that each goes to the worker that is there then.
        pids = [app.enqueue("read_null").result(20) for _ in range(20)]

        assert caught.value.error.type == "OSError"
        assert os.strerror(errno.EMFILE) in caught.value.error.message
        assert len(set(pids)) == 1, "it stayed, or was replaced at once"
        stats = app.stats()
        assert (stats["failed"], stats["crashes"], stats["deadLetters"]) == (1, 0, 1)
        assert app.directory.owner() == supervisor
        assert app.health()["ok"]


def test_a_supervisor_out_of_descriptors_goes_on_and_does_not_spin(
    place: Place,
) -> None:
    with add_handlers(place.named()) as app:
        before = Footprint.settled(app)
        supervisor = psutil.Process(app.directory.owner())

        with lend_descriptors(supervisor.pid, 0), _caller(app.directory) as caller:
            assert wait_until(lambda: not app.health()["ok"], 5)
            problems = app.health()["problems"]
            busy = _cpu_of_one_second(supervisor, caller)
            values = [app.enqueue("echo", {"number": n}).result(20) for n in range(50)]
            assert not _has_answer(caller, 0)
            lent_until = time.monotonic()
            pauses = app.stats()["connectionPauses"]

        with _caller(app.directory) as late:
            _ask(late)
            assert _has_answer(late, 5)
        took = time.monotonic() - lent_until
        producer = attach(app.directory)
        producer.close()

        assert busy < 0.2, "of one core"
        assert values == list(range(50))
        assert took < 5, "the figure is 1 s"
        assert pauses == 1
        assert any("RLIMIT_NOFILE" in it for it in problems)
        assert app.health()["ok"]
        assert wait_until(lambda: before.is_that_of(app), 10)


def test_who_called_while_there_was_no_descriptor_is_answered_later(
    place: Place,
) -> None:
    with add_handlers(place.named()) as app:
        supervisor = app.directory.owner()
        assert supervisor is not None

        with _caller(app.directory, connect=False) as caller:
            with lend_descriptors(supervisor, 0):
                caller.connect(str(app.directory.socket))
                _ask(caller)
                assert wait_until(lambda: not app.health()["ok"], 5)
            assert _has_answer(caller, 5)
            answer = msgspec.msgpack.decode(caller.recv(65536))

        assert answer["live"] == 0


@pytest.mark.parametrize("left", [1, 3, 7, 8, 12])
def test_with_a_few_descriptors_left_an_attachment_is_whole_or_waits(
    place: Place, left: int
) -> None:
    with add_handlers(place.named(workers=1)) as app:
        supervisor = app.directory.owner()
        assert supervisor is not None
        assert wait_until(lambda: len(Tree(app.directory).workers()) == 2, 20)
        files = len(os.listdir(f"/proc/{supervisor}/fd"))

        with lend_descriptors(supervisor, left), _caller(app.directory) as caller:
            wake = os.eventfd(0)
            request = msgspec.msgpack.encode({"seq": 1, "op": "attach"})
            socket.send_fds(caller, [request], [wake])
            # Eight are what the supervisor keeps for its own work.
            if _has_answer(caller, 0.3):
                packet, fds, _, _ = socket.recv_fds(caller, 65536, 3)
                assert len(fds) == 3, msgspec.msgpack.decode(packet)
                assert left >= 8
                for fd in fds:
                    os.close(fd)
            else:
                assert left < 8
            os.close(wake)
            assert app.enqueue("echo", {"number": 1}).result(20) == 1

        def is_back() -> bool:
            return len(os.listdir(f"/proc/{supervisor}/fd")) == files

        assert wait_until(is_back, 10)


def test_workers_that_die_meanwhile_are_replaced_afterwards(place: Place) -> None:
    with add_handlers(place.app()) as app:
        before = Footprint.settled(app)
        supervisor = app.directory.owner()
        assert supervisor is not None
        pids = Tree(app.directory).workers()

        with lend_descriptors(supervisor, None):
            for number in pids:
                os.kill(number, signal.SIGKILL)
            handles = [app.enqueue("echo", {"number": n}) for n in range(20)]
            assert wait_until(lambda: not _alive(app), 20)
            # Two zygotes, and three newborn workers that are in no row yet.
            assert wait_until(lambda: len(Tree(app.directory).zygotes()) == 5, 20)
            assert not _alive(app), "a worker that cannot be watched is not used"

        assert [it.result(20) for it in handles] == list(range(20))
        assert app.directory.owner() == supervisor
        assert wait_until(lambda: before.is_that_of(app), 20)
        assert not set(Tree(app.directory).workers()) & set(pids)


def _alive(app: StemApp) -> list[int]:
    return [it.pid for it in app.workers() if it.phase == "live"]


@contextmanager
def _caller(
    directory: RingDirectory, *, connect: bool = True
) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        if connect:
            line.connect(str(directory.socket))
        yield line


def _ask(line: socket.socket) -> None:
    line.send(msgspec.msgpack.encode({"seq": 1, "op": "stats"}))


def _has_answer(line: socket.socket, seconds: float) -> bool:
    return bool(select.select([line], [], [], seconds)[0])


def _cpu_of_one_second(process: psutil.Process, quiet: socket.socket) -> float:
    """The share of a core that *process* takes while nothing comes from *quiet*."""
    began, before = time.monotonic(), process.cpu_times()
    assert not _has_answer(quiet, 1.0)
    after, took = process.cpu_times(), time.monotonic() - began
    return (after.user + after.system - before.user - before.system) / took
