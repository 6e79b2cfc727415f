"""The zygote, its spare, and what a newborn finds."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.verbs import Verb, ZygoteNews
from tests.process.actor import until
from tests.process.script import Script
from tests.process.tree import Tree


def test_a_spare_takes_over_and_running_workers_do_not_notice(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    actor = tree.actor()
    zygote, spare = (tree.watch(pid) for pid in tree.zygotes())

    zygote.kill()

    assert supervisor.hear(Verb.ZYGOTE).value == ZygoteNews.DIED
    assert supervisor.hear(Verb.ZYGOTE).value == ZygoteNews.REPLACED
    assert actor.ask("1 + 1") == 2
    assert supervisor.fork(1).pid == tree.actor().pid
    assert until(lambda: len(tree.zygotes()) == 2), "no new spare was made"
    assert tree.zygotes()[0] == spare.pid


def test_a_birth_that_died_with_its_zygote_is_to_be_asked_again(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    zygote = tree.watch(tree.zygotes()[0])

    zygote.kill(signal.SIGSTOP)
    supervisor.say(Verb.FORK, worker=1, epoch=1, incarnation=5)
    tree.settle(supervisor)
    zygote.kill()
    born = supervisor.hear(Verb.BORN, worker=1)

    assert (born.pid, born.value, born.incarnation) == (0, errno.EAGAIN, 5)
    assert supervisor.fork(1).pid > 0


def test_without_zygote_and_spare_a_birth_is_refused_for_good(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    actor = tree.actor()

    # Each makes a copy of itself as soon as it is alone; kill both in one moment.
    watches = [tree.watch(pid) for pid in tree.zygotes()]
    for watch in watches:
        watch.kill(signal.SIGSTOP)
    for watch in reversed(watches):
        watch.kill()
    supervisor.hear(Verb.ZYGOTE, value=ZygoteNews.NONE_LEFT)

    assert supervisor.fork(1).value == errno.ESRCH
    assert actor.ask("2 + 2") == 4


def test_a_dead_spare_is_replaced(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    tree.actor()  # until its body begins, a newborn bears the zygote's name
    zygote, spare = tree.zygotes()

    tree.watch(spare).kill()

    assert until(lambda: len(tree.zygotes()) == 2 and spare not in tree.zygotes())
    assert tree.zygotes()[0] == zygote


def test_the_preparation_runs_once_and_every_worker_has_it(
    plant: Callable[..., Tree],
) -> None:
    prepared: list[int] = []
    tree = plant(prepare=lambda: prepared.append(os.getpid()))
    plain_body = tree.settings["worker_body"]

    def body(birth: Birth) -> None:
        os.environ["PREPARED"] = ",".join(map(str, prepared))
        plain_body(birth)

    tree.settings["worker_body"] = body
    supervisor = tree.launch()
    supervisor.fork(0)
    supervisor.fork(1)
    facts = {tree.actor().ask("os.environ['PREPARED']") for _ in range(2)}

    assert facts == {str(tree.zygotes()[0])}
    assert prepared == [], "the host was not touched"


def test_a_preparation_that_fails_says_so_to_the_host(
    plant: Callable[..., Tree], capfd: pytest.CaptureFixture[str]
) -> None:
    def prepare() -> None:
        raise ModuleNotFoundError("No module named 'shop'")

    tree = plant(prepare=prepare)
    supervisor = tree.launch()
    assert tree.guardian is not None

    said = [tree.guardian.wait_status(20) for _ in range(3)]

    assert "failed: ModuleNotFoundError: No module named 'shop'" in said
    supervisor.hear(Verb.ZYGOTE, value=ZygoteNews.NONE_LEFT)
    assert "Traceback" in capfd.readouterr().err


def test_threads_of_a_preparation_are_named_in_a_warning(
    plant: Callable[..., Tree], capfd: pytest.CaptureFixture[str]
) -> None:
    def prepare() -> None:
        import threading

        threading.Thread(target=signal.pause, name="metrics", daemon=True).start()

    tree = plant(prepare=prepare)
    tree.launch().fork(0)

    said = capfd.readouterr().err
    assert "threads run in the zygote: metrics" in said
    assert 'start_method="spawn"' in said


def test_a_worker_is_its_own_master(tree: Tree) -> None:
    supervisor = tree.launch()
    assert tree.guardian is not None
    wake = os.eventfd(11)
    supervisor.say(Verb.FORK, fd=wake, worker=4, epoch=6, incarnation=2)
    os.close(wake)
    supervisor.hear(Verb.BORN)
    actor = tree.actor()

    assert actor.ask("os.getppid()") == tree.guardian.pid
    assert actor.ask("os.getpgrp()") == actor.pid
    assert actor.ask("os.eventfd_read(birth.wake_fd)") == 11
    facts = "[birth.index, birth.epoch, birth.incarnation, birth.parent_pid]"
    assert actor.ask(facts) == [4, 6, 2, tree.guardian.pid]
    assert actor.ask("birth.directory") == str(tree.directory)
    assert actor.ask("os.readlink('/proc/self/fd/0')") == "/dev/null"
    assert actor.ask("__import__('gc').isenabled()") is True
    assert actor.ask("__import__('gc').get_freeze_count()") > 0
    assert actor.ask("__import__('resource').getrlimit(4)")[0] == 0
    assert actor.ask("open('/proc/self/comm').read()") == "stem-worker-4\n"
    score = "int(open('/proc/self/oom_score_adj').read())"
    assert actor.ask(score) >= min(500 + int(own_oom_score()), 1000)


def own_oom_score() -> str:
    """Return how the kernel rates this process when memory ends."""
    return Path("/proc/self/oom_score_adj").read_text()


def test_a_worker_adopts_its_own_orphans(tree: Tree) -> None:
    tree.launch().fork(0)
    actor = tree.actor()

    orphan = actor.ask("spawn('double')")

    stat = Path(f"/proc/{orphan}/stat").read_text().rsplit(")", 1)[1].split()
    assert int(stat[1]) == actor.pid


def test_a_newborn_has_no_wake_word_of_another(tree: Tree) -> None:
    supervisor = tree.launch()
    listing = "sorted(os.listdir('/proc/self/fd'), key=int)"
    found = []
    for index in range(3):
        wake = os.eventfd(0)
        supervisor.say(Verb.FORK, fd=wake, worker=index, epoch=1)
        os.close(wake)
        supervisor.hear(Verb.BORN)
        found.append(tree.actor().ask(listing))

    assert found[0] == found[1] == found[2]


def test_a_worker_is_not_reaped_before_the_supervisor_watches_it(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.say(Verb.FORK, worker=0, epoch=1)
    born = supervisor.hear(Verb.BORN)
    tree.actor().tell("os._exit(4)")
    watch = tree.watch(born.pid)
    assert watch.is_gone()
    # Another one's death and a birth go by meanwhile.
    supervisor.fork(1)
    tree.actor().tell("os._exit(5)")
    assert supervisor.hear(Verb.DIED).worker == 1
    stat = Path(f"/proc/{born.pid}/stat").read_text()
    assert stat.rsplit(")", 1)[1].split()[0] == "Z"

    supervisor.say(Verb.WATCHING, pid=born.pid)

    assert supervisor.hear(Verb.DIED, worker=0).value == 4 << 8
    assert not Path(f"/proc/{born.pid}").exists()


def test_a_newborn_without_a_zygote_to_report_to_does_not_live(
    tree: Tree,
) -> None:
    """The zygote dies at any moment of a birth; who was born anyway is swept."""
    supervisor = tree.launch()
    for turn in range(10):
        supervisor.fork(turn)
        tree.actor().tell("os._exit(0)")
        supervisor.say(Verb.FORK, worker=100 + turn, epoch=1)
        tree.watch(tree.zygotes()[0]).kill()
        born = supervisor.hear(Verb.BORN, worker=100 + turn)
        supervisor.hear(Verb.ZYGOTE, value=ZygoteNews.REPLACED)
        if born.pid:
            supervisor.say(Verb.WATCHING, pid=born.pid)
            tree.watch(born.pid).kill()
            supervisor.hear(Verb.DIED, pid=born.pid)
        supervisor.fork(200 + turn)
        while (actor := tree.actor()).index != 200 + turn:
            assert tree.watch(actor.pid).is_gone()
        actor.tell("os._exit(0)")


def test_a_body_that_raises_ends_the_worker_and_nothing_else(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = Tree(root)
    tree.settings["worker_body"] = lambda birth: 1 // 0
    supervisor = tree.launch()
    supervisor.fork(0)

    assert supervisor.hear(Verb.DIED).value == 70 << 8
    assert "ZeroDivisionError" in capfd.readouterr().err
    tree.close()


def test_what_the_host_has_buffered_is_written_once(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("""
import ctypes
sys.stdout.write("once ")
ctypes.CDLL(None).printf(b"and once ")
guardian = launch(spec())
guardian.wait()
""")
    supervisor = tree.supervisor()
    for index in range(2):
        supervisor.fork(index)
        tree.actor().tell("sys.exit(0)")
        supervisor.hear(Verb.DIED)
    supervisor.say(Verb.SHUTDOWN)
    script.process.wait(20)

    said = script.rest()
    assert (said.count("and once"), said.count("once and")) == (1, 1)
