"""What a dead worker leaves, and what a healthy one owns."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stem_actor.actor.tree.verbs import Verb
from tests.process.tree import Tree

KINDS = ("plain", "setsid", "double")
# Each child leads a session of its own, makes the next one and ends.
RUNNER = """exec('''
if os.fork() == 0:
    while True:
        os.setsid() if os.getsid(0) != os.getpid() else None
        if os.fork() != 0:
            os._exit(0)
''')"""


def test_a_dead_workers_descendants_die_and_anothers_daemon_lives(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    supervisor.fork(1)
    doomed, healthy = sorted((tree.actor(), tree.actor()), key=lambda it: it.index)
    left = [tree.watch(doomed.ask(f"spawn({kind!r})")) for kind in KINDS]
    daemons = [tree.watch(healthy.ask(f"spawn({kind!r})")) for kind in KINDS]

    tree.watch(doomed.pid).kill()
    swept = supervisor.hear(Verb.SWEPT)

    assert swept.pid == doomed.pid
    assert swept.a >= 2, "the plain one died with its group, the others by the sweep"
    assert all(watch.is_gone(within_s=0) for watch in left)
    assert not any(watch.is_gone(within_s=0) for watch in daemons)
    assert healthy.ask("1") == 1


def test_without_the_children_file_a_sweep_finds_them_in_proc(
    plant: Callable[..., Tree], shim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant()
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("STEM_TEST_NO_CHILDREN", "1")
    supervisor = tree.launch()
    supervisor.fork(0)
    doomed = tree.actor()
    left = [tree.watch(doomed.ask(f"spawn({kind!r})")) for kind in KINDS]

    tree.watch(doomed.pid).kill()
    supervisor.hear(Verb.SWEPT)

    assert all(watch.is_gone(within_s=0) for watch in left)


def test_a_process_that_forks_to_get_away_is_caught(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    runner = tree.actor()
    runner.ask(RUNNER)

    tree.watch(runner.pid).kill()
    swept = supervisor.hear(Verb.SWEPT)

    assert swept.a > 0
    assert supervisor.fork(1).pid > 0


def test_a_newborn_is_no_stranger_to_a_sweep(tree: Tree) -> None:
    supervisor = tree.launch()
    for turn in range(10):
        supervisor.fork(0, incarnation=turn)
        doomed = tree.actor()
        for kind in KINDS:
            doomed.ask(f"spawn({kind!r})")

        supervisor.say(Verb.FORK, worker=1, epoch=1, incarnation=turn)
        doomed.tell("os._exit(0)")
        supervisor.say(Verb.FORK, worker=2, epoch=1, incarnation=turn)
        born = [supervisor.hear(Verb.BORN, worker=index) for index in (1, 2)]
        supervisor.hear(Verb.SWEPT, pid=doomed.pid)

        newborn = {tree.actor().pid, tree.actor().pid}
        assert {it.pid for it in born} == newborn
        for pid in newborn:
            assert not tree.watch(pid).is_gone(within_s=0)
            supervisor.say(Verb.WATCHING, pid=pid)
            tree.watch(pid).kill()
            supervisor.hear(Verb.DIED, pid=pid)


def test_a_sweep_without_end_does_not_hold_births_up(
    plant: Callable[..., Tree], shim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant()
    immortal = tree.root / "immortal"
    immortal.touch()
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("STEM_TEST_IMMORTAL", str(immortal))
    supervisor = tree.launch()
    supervisor.fork(0)
    doomed = tree.actor()
    stuck = tree.watch(doomed.ask("spawn('setsid')"))
    immortal.write_text(str(stuck.pid))

    doomed.tell("os._exit(0)")
    supervisor.hear(Verb.DIED)
    began = time.monotonic()
    born = supervisor.fork(1)
    took = time.monotonic() - began
    message = supervisor.next()
    immortal.write_text("")
    stuck.kill()

    assert born.pid > 0
    assert message.verb is Verb.SWEPT, "it came after the birth"
    assert took < 1.5, "the bound of a sweep that never ends is 2 s"


def test_many_workers_that_die_together_are_all_swept(tree: Tree) -> None:
    supervisor = tree.launch()
    pids = {supervisor.fork(index).pid for index in range(12)}
    for _ in pids:
        tree.actor().tell("os._exit(0)")

    died = {supervisor.hear(Verb.DIED).pid for _ in pids}
    swept = {supervisor.hear(Verb.SWEPT).pid for _ in pids}

    assert pids == died == swept
