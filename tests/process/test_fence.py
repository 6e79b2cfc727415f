"""From one supervisor to the next: barrier, kill, sweep, start."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stem_actor.actor.tree.verbs import Message, Verb
from tests.process.actor import until
from tests.process.tree import Supervisor, Tree, children_of


def below(tree: Tree) -> set[int]:
    """Return the guardian's children that are neither zygote, spare nor supervisor."""
    assert tree.guardian is not None
    names = {
        pid: Path(f"/proc/{pid}/comm").read_text().strip()
        for pid in children_of(tree.guardian.pid)
    }
    return {pid for pid, name in names.items() if name.startswith("stem-worker")}


def settled(tree: Tree, supervisor: Supervisor) -> list[int]:
    """Return zygote and spare once the guardian knows of both."""
    # The spare was asked for first, so a birth says that it is there.
    assert supervisor.fork(90).pid == tree.actor().pid
    assert until(lambda: len(tree.zygotes()) == 2)
    return tree.zygotes()


def test_workers_and_what_they_left_are_dead_before_the_next_supervisor(
    tree: Tree,
) -> None:
    first = tree.launch()
    zygote = settled(tree, first)[0]
    for index in range(3):
        first.fork(index)
    actors = [tree.actor() for _ in range(3)]
    escapee = actors[0].ask("spawn('setsid')")
    watches = [tree.watch(pid) for pid in (*(it.pid for it in actors), escapee)]

    first.watch.kill()
    second = tree.supervisor()

    # Dead already, not dead soon.
    assert all(watch.is_gone(within_s=0) for watch in watches)
    assert second.pid != first.pid
    assert tree.zygotes()[0] == zygote
    assert second.fork(0, epoch=2).pid > 0


def test_no_worker_is_born_after_the_fence(tree: Tree) -> None:
    supervisor = tree.launch()
    zygote = tree.watch(settled(tree, supervisor)[0])

    for epoch in range(1, 6):
        zygote.kill(signal.SIGSTOP)
        supervisor.say(Verb.FORK, worker=epoch, epoch=epoch)
        tree.settle(supervisor)
        supervisor.watch.kill()
        assert supervisor.watch.is_gone()
        zygote.kill(signal.SIGCONT)
        supervisor = tree.supervisor()

        assert below(tree) == set()
        assert supervisor.fork(50, epoch=epoch + 1).worker == 50
        supervisor.line.settimeout(0)
        with pytest.raises(BlockingIOError):
            supervisor.next()  # nothing of what the dead one asked for
        supervisor.line.settimeout(20)


def test_a_fork_of_an_epoch_that_was_fenced_is_refused(tree: Tree) -> None:
    first = tree.launch()
    settled(tree, first)
    first.fork(0, epoch=4)
    first.watch.kill()
    second = tree.supervisor()

    assert second.fork(0, epoch=4).value == errno.ESTALE
    assert second.fork(0, epoch=5).value == 0


def test_a_zygote_that_does_not_answer_the_barrier_is_replaced(tree: Tree) -> None:
    first = tree.launch()
    zygote, spare = (tree.watch(pid) for pid in settled(tree, first))
    zygote.kill(signal.SIGSTOP)
    first.say(Verb.FORK, worker=0, epoch=1)
    tree.settle(first)

    first.watch.kill()
    second = tree.supervisor()

    assert zygote.is_gone()
    assert second.fork(0, epoch=2).pid > 0
    assert tree.zygotes()[0] == spare.pid


def test_a_worker_that_cannot_be_killed_is_told_to_the_next_supervisor(
    plant: Callable[..., Tree], shim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant()
    immortal = tree.root / "immortal"
    immortal.touch()
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("STEM_TEST_IMMORTAL", str(immortal))
    first = tree.launch()
    settled(tree, first)
    first.fork(0)
    first.fork(1, incarnation=8)
    doomed, stuck = tree.actor(), tree.actor()
    immortal.write_text(str(stuck.pid))

    first.watch.kill()
    second = tree.supervisor()
    told = second.hear(Verb.BORN)
    immortal.write_text("")
    tree.watch(stuck.pid).kill()

    assert told == Message(
        Verb.BORN, 1, 1, incarnation=8, pid=stuck.pid, value=errno.EBUSY
    )
    assert tree.watch(doomed.pid).is_gone(within_s=0)
    assert second.hear(Verb.DIED).pid == stuck.pid


def test_a_supervisor_that_keeps_dying_is_restarted_ever_more_slowly(
    tree: Tree,
) -> None:
    supervisor = tree.launch()
    assert tree.guardian is not None

    for _ in range(5):
        assert tree.guardian.wait_status(20) == "ready"
        supervisor.watch.kill()
        last = supervisor
        supervisor = tree.supervisor()

    assert last.watch.is_gone(within_s=0)
    assert tree.guardian.wait_status(20) == "failed: supervisor killed by signal 9"
    assert tree.guardian.wait_status(20) == "ready"
    supervisor.watch.kill()
    began = time.monotonic()
    tree.supervisor()
    # Said once, however often it dies from here on; the pauses double from 0.5 s.
    assert tree.guardian.wait_status(20) == "ready"
    assert time.monotonic() - began > 0.9


def test_a_completed_step_gives_the_supervisor_its_budget_back(tree: Tree) -> None:
    supervisor = tree.launch()
    assert tree.guardian is not None

    for _ in range(8):
        assert tree.guardian.wait_status(20) == "ready"
        ask_and_die(supervisor)
        supervisor = tree.supervisor()

    assert tree.guardian.wait_status(20) == "ready", "no failure was told"


def ask_and_die(supervisor: Supervisor) -> None:
    """Say READY, see that it arrived, and die."""
    supervisor.say(Verb.READY)
    supervisor.say(Verb.FORK, worker=0, epoch=1 << 20)
    supervisor.hear(Verb.BORN)
    supervisor.watch.kill()


def test_a_shutdown_counts_although_its_supervisor_died_at_once(tree: Tree) -> None:
    supervisor = tree.launch()
    assert tree.guardian is not None
    guardian = tree.watch(tree.guardian.pid)
    guardian.kill(signal.SIGSTOP)

    supervisor.say(Verb.SHUTDOWN)
    # Our stand-in relays in order; its end of file follows the relayed message.
    supervisor.line.close()
    assert supervisor.watch.is_gone() or until(lambda: is_zombie(supervisor.pid))
    guardian.kill(signal.SIGCONT)

    assert tree.guardian.wait(20)


def is_zombie(pid: int) -> bool:
    """Return whether *pid* is dead and waits for its parent."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_death_of_supervisor_and_zygote_together_is_survived(tree: Tree) -> None:
    supervisor = tree.launch()
    zygote, spare = (tree.watch(pid) for pid in settled(tree, supervisor))
    supervisor.fork(0)

    zygote.kill()
    supervisor.watch.kill()
    second = tree.supervisor()

    assert second.fork(0, epoch=2).pid > 0
    assert tree.zygotes()[0] == spare.pid
