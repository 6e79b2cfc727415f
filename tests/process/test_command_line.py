"""A process that becomes the guardian itself, as the command line does."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from stem_actor.actor.tree.verbs import Verb
from tests.process.script import Script
from tests.process.tree import Tree, zygotes_of

BECOME = """
daemon = os.fork()
if daemon == 0:
    signal.pause()
tell(daemon=daemon)
become_guardian(spec())
"""


def test_the_process_is_the_guardian_and_its_exit_code_is_the_supervisors(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host(BECOME)
    supervisor = tree.supervisor()
    daemon = tree.watch(script.answer()["daemon"])
    supervisor.fork(0)
    actor = tree.actor()
    assert actor.ask("os.getppid()") == script.process.pid
    grandchild = tree.watch(actor.ask("spawn('setsid')"))

    for number in (signal.SIGTERM, signal.SIGINT):
        script.process.send_signal(number)
        assert supervisor.hear(Verb.SIGNAL).value == number
    tree.watch(actor.pid).kill()
    assert supervisor.hear(Verb.SWEPT).pid == actor.pid
    assert grandchild.is_gone(within_s=0)
    supervisor.say(Verb.SHUTDOWN, value=5)

    assert script.process.wait(20) == 5
    # A child from before belongs to whoever made it.
    assert not daemon.is_gone(within_s=0)
    daemon.kill()
    assert not tree.directory.exists()
    assert "ready" in script.errors()


def test_ctrl_c_of_a_terminal_reaches_the_guardian_alone(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("become_guardian(spec())")
    supervisor = tree.supervisor()
    supervisor.fork(0)
    actor = tree.actor()
    group = os.getpgid(script.process.pid)

    assert os.getpgid(supervisor.pid) != group
    assert actor.ask("os.getpgrp()") != group
    assert os.getpgid(zygotes_of(script.process.pid)[0]) != group
    supervisor.say(Verb.SHUTDOWN)
    assert script.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_order_to_end_is_obeyed_without_the_supervisor(
    tree: Tree, host: Callable[..., Script], number: signal.Signals
) -> None:
    script = host("become_guardian(spec())")
    supervisor = tree.supervisor()
    supervisor.fork(0)
    actor = tree.watch(tree.actor().pid)
    script.process.send_signal(number)
    # To the supervisor the end of a terminal is an order like any other.
    assert supervisor.hear(Verb.SIGNAL).value == signal.SIGTERM
    os.kill(supervisor.pid, signal.SIGSTOP)

    began = time.monotonic()
    script.process.send_signal(number)

    assert script.process.wait(20) == 128 + signal.SIGTERM
    assert time.monotonic() - began > 1.5, "it had no time to end by itself"
    assert actor.is_gone(within_s=0)
    assert supervisor.watch.is_gone(within_s=0)


def test_sigquit_is_obeyed_without_the_supervisor(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("become_guardian(spec())")
    supervisor = tree.supervisor()
    os.kill(supervisor.pid, signal.SIGSTOP)

    script.process.send_signal(signal.SIGQUIT)

    assert script.process.wait(20) == 128 + signal.SIGQUIT
    assert supervisor.watch.is_gone(within_s=0)


def test_ctrl_c_twice_is_obeyed_without_the_supervisor(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("become_guardian(spec())")
    supervisor = tree.supervisor()
    script.process.send_signal(signal.SIGINT)
    supervisor.hear(Verb.SIGNAL, value=signal.SIGINT)
    os.kill(supervisor.pid, signal.SIGSTOP)

    script.process.send_signal(signal.SIGINT)

    assert script.process.wait(20) == 128 + signal.SIGINT
    assert supervisor.watch.is_gone(within_s=0)


def test_one_order_to_end_waits_for_the_supervisor_however_long_it_takes(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("become_guardian(spec())")
    supervisor = tree.supervisor()

    script.process.send_signal(signal.SIGTERM)
    supervisor.hear(Verb.SIGNAL, value=signal.SIGTERM)
    # Ctrl-C shortens the drain, and is no second order.
    script.process.send_signal(signal.SIGINT)
    supervisor.hear(Verb.SIGNAL, value=signal.SIGINT)

    with pytest.raises(subprocess.TimeoutExpired):
        script.process.wait(2.5)
    supervisor.say(Verb.SHUTDOWN, value=7)
    assert script.process.wait(20) == 7


def test_a_hang_up_that_nohup_ignores_stays_ignored(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("signal.signal(1, signal.SIG_IGN)\nbecome_guardian(spec())")
    supervisor = tree.supervisor()

    script.process.send_signal(signal.SIGHUP)
    script.process.send_signal(signal.SIGINT)

    assert supervisor.next().value == signal.SIGINT
    supervisor.say(Verb.SHUTDOWN)
    assert script.process.wait(20) == 0


def test_only_the_first_supervisor_says_ready_on_the_terminal(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("become_guardian(spec())")
    supervisor = tree.supervisor()
    for _ in range(2):
        supervisor.say(Verb.READY)
        supervisor.say(Verb.FORK, worker=0, epoch=1 << 20)
        supervisor.hear(Verb.BORN)
        supervisor.watch.kill()
        supervisor = tree.supervisor()

    supervisor.say(Verb.SHUTDOWN)

    assert script.process.wait(20) == 0
    # One line of each of the three is the fake supervisor's own.
    assert script.errors().count("ready\n") == 3 + 1
