"""A process that becomes the guardian itself, as the command line does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from stem_actor.actor.verbs import Verb
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

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
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
