"""What a child must not inherit, and must not do to its host."""

from __future__ import annotations

import asyncio
import atexit
import os
import random
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from types import FrameType, ModuleType

import pytest

from stem_actor.actor.tree import hygiene
from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.verbs import Verb
from tests.process.tree import Tree


def test_a_child_that_closes_what_it_inherited_does_not_stop_the_hosts_loop(
    tree: Tree,
) -> None:
    ours, theirs = socket.socketpair()
    with select.epoll() as epoll, ours, theirs:
        epoll.register(ours, select.EPOLLIN)
        tree.launch().fork(0)
        actor = tree.actor()

        # What ``transport.close()`` does in the copy of a loop.
        actor.ask(f"""exec('''
import errno, select
for number in ({ours.fileno()}, {epoll.fileno()}):
    try:
        os.read(number, 1)
    except OSError as error:
        assert error.errno == errno.EBADF
try:
    select.epoll.fromfd({epoll.fileno()}).unregister({ours.fileno()})
except OSError as error:
    assert error.errno == errno.EBADF
os.close({ours.fileno()})
''')""")
        theirs.send(b"x")

        assert epoll.poll(5) == [(ours.fileno(), select.EPOLLIN)]


def test_a_peer_of_the_host_sees_the_end_of_the_stream(tree: Tree) -> None:
    ours, theirs = socket.socketpair()
    supervisor = tree.launch()
    supervisor.fork(0)
    tree.actor()

    ours.close()

    theirs.settimeout(10)
    assert theirs.recv(1) == b""
    theirs.close()


def test_numbers_stay_taken_and_files_stay_open(tree: Tree) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"kept")
        file.flush()
        outlet, inlet = os.pipe()
        tree.launch().fork(0)
        actor = tree.actor()

        assert actor.ask(f"os.pread({file.fileno()}, 9, 0).decode()") == "kept"
        for number in (outlet, inlet):
            assert actor.ask(f"os.readlink('/proc/self/fd/{number}')") == "/dev/null"
            os.close(number)


def test_a_signal_to_a_child_does_not_run_the_hosts_handler(tree: Tree) -> None:
    heard: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    outlet, inlet = os.pipe2(os.O_NONBLOCK)
    old_wakeup = signal.set_wakeup_fd(inlet)
    old_handler = signal.signal(signal.SIGTERM, handler)
    try:
        supervisor = tree.launch()
        born = supervisor.fork(0)
        tree.actor()
        tree.watch(born.pid).kill(signal.SIGTERM)
        died = supervisor.hear(Verb.DIED)
    finally:
        signal.set_wakeup_fd(old_wakeup)
        signal.signal(signal.SIGTERM, old_handler)

    assert died.value == signal.SIGTERM
    assert heard == []
    with pytest.raises(BlockingIOError):
        os.read(outlet, 1)
    os.close(outlet)
    os.close(inlet)


def test_signals_are_as_in_a_fresh_interpreter_but_for_ctrl_c(tree: Tree) -> None:
    old = {
        signal.SIGUSR1: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        tree.launch().fork(0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in old.items():
            signal.signal(number, handler)
    actor = tree.actor()

    assert actor.ask("list(signal.pthread_sigmask(signal.SIG_BLOCK, ()))") == []
    ignored = "[n for n in range(1, 32) if signal.getsignal(n) == signal.SIG_IGN]"
    expected = {
        signal.SIGHUP,  # as under nohup: it was ignored
        signal.SIGINT,
        signal.SIGPIPE,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGXFSZ,
    }
    assert set(actor.ask(ignored)) == expected


def test_a_tree_started_inside_a_running_loop_has_none_in_its_workers(
    plant: Callable[..., Tree],
) -> None:
    tree = plant()
    plain_body = tree.settings["worker_body"]

    def body(birth: Birth) -> None:
        with pytest.raises(RuntimeError, match="no current event loop"):
            asyncio.get_event_loop()
        assert asyncio.run(asyncio.sleep(0, 5)) == 5
        plain_body(birth)

    tree.settings["worker_body"] = body

    async def start() -> None:
        tree.launch().fork(0)
        assert tree.actor().ask("7") == 7
        await asyncio.sleep(0)  # the host's loop still turns

    asyncio.run(start())


def test_stdin_stays_with_the_host(tree: Tree) -> None:
    outlet, inlet = os.pipe()
    old = os.dup(0)
    os.dup2(outlet, 0)
    try:
        tree.launch().fork(0)
    finally:
        os.dup2(old, 0)
    os.write(inlet, b"for the host")

    assert tree.actor().ask("sys.stdin.read()") == ""
    assert os.read(outlet, 32) == b"for the host"
    for number in (outlet, inlet, old):
        os.close(number)


def test_each_worker_draws_its_own_random_numbers(tree: Tree) -> None:
    random.seed(1)
    supervisor = tree.launch()
    supervisor.fork(0)
    supervisor.fork(1)

    draws = {tree.actor().ask("__import__('random').random()") for _ in range(2)}

    assert len({random.random(), *draws}) == 3


def test_numpys_global_generator_starts_afresh_in_each_worker(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = ModuleType("numpy.random")
    seeds: list[int] = []
    vars(stand_in).update(seed=lambda: seeds.append(os.getpid()), seeds=seeds)
    monkeypatch.setitem(sys.modules, "numpy.random", stand_in)
    tree.launch().fork(0)
    actor = tree.actor()

    assert actor.ask("sys.modules['numpy.random'].seeds") == [actor.pid]


def test_only_exit_handlers_of_the_worker_itself_run_at_its_end(
    plant: Callable[..., Tree], capfd: pytest.CaptureFixture[str]
) -> None:
    def host_handler() -> None:
        os.write(1, b"of the host\n")

    tree = plant(prepare=lambda: atexit.register(os.write, 1, b"of the zygote"))
    atexit.register(host_handler)
    try:
        supervisor = tree.launch()
        supervisor.fork(0)
        actor = tree.actor()
        actor.ask("__import__('atexit').register(os.write, 1, b'of the worker') and 0")
        actor.line.close()  # its body returns
        died = supervisor.hear(Verb.DIED)
    finally:
        atexit.unregister(host_handler)

    assert died.value == 0
    assert capfd.readouterr().out == "of the worker"


def test_connections_of_the_host_are_named_in_a_warning(
    tree: Tree, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            tree.launch().fork(0)
            number = client.fileno()

    said = capfd.readouterr().err
    assert f"AF_INET 127.0.0.1:{port} (fd {number})" in said
    assert said.count("127.0.0.1") == 1, "a listener is no connection"


def test_nothing_is_delivered_between_the_fork_and_the_childs_first_steps() -> None:
    with hygiene.quiet_fork():
        inside = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    after = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    assert {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD} <= inside
    assert signal.SIGTERM not in after


def test_a_life_that_raises_never_reaches_the_hosts_frames(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def life() -> None:
        raise KeyboardInterrupt("in the child")

    child = hygiene.fork_into(life)  # type: ignore[arg-type]

    assert os.waitpid(child, 0)[1] == hygiene.EXIT_FAILURE << 8
    assert capfd.readouterr().err == "stem_actor: KeyboardInterrupt: in the child\n"
