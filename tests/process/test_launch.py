"""Starting and ending a tree below a host."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stem_actor.actor.tree import founding, prctl
from stem_actor.actor.tree.launch import LaunchSpec, launch
from stem_actor.actor.tree.verbs import Verb
from stem_actor.errors import SettingsError, StemError
from tests.process.actor import until
from tests.process.script import Script
from tests.process.tree import Tree, children_of


def test_a_worker_is_born_and_ends_with_its_code(tree: Tree) -> None:
    supervisor = tree.launch()

    assert tree.guardian is not None
    born = supervisor.fork(3, epoch=7, incarnation=2)
    actor = tree.actor()
    assert os.getsid(actor.pid) == tree.guardian.pid, "the session is the tree's own"
    actor.tell("os._exit(9)")
    died = supervisor.hear(Verb.DIED)

    assert (actor.pid, 0) == (born.pid, born.value)
    assert (3, 7, 2, born.pid) == (died.worker, died.epoch, died.incarnation, died.pid)
    assert died.value == 9 << 8
    assert died.c > 0, "the peak of memory is in kibibytes"


def test_the_host_has_no_child_so_waiting_for_all_of_them_ends(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)

    def wait_for_all() -> None:
        while True:
            os.wait()

    with pytest.raises(ChildProcessError):
        wait_for_all()


def test_a_host_that_adopts_orphans_keeps_no_zombie_of_the_guardian(
    tree: Tree, host: Callable[..., Script]
) -> None:
    """The host is PID 1 of a container, or a reaper as here."""
    script = host("""
from stem_actor.actor.tree import prctl
prctl.adopt_orphans()
guardian = launch(spec())
tell(child=os.waitpid(guardian.pid, os.WNOHANG))
gone = guardian.wait(20)
try:
    os.wait()
except ChildProcessError:
    tell(gone=gone)
""")
    assert script.answer() == {"child": [0, 0]}

    tree.supervisor().say(Verb.SHUTDOWN)

    assert script.answer() == {"gone": True}


def test_a_test_runner_goes_on_as_before(
    plant: Callable[..., Tree], capfd: pytest.CaptureFixture[str]
) -> None:
    def facts() -> tuple[object, ...]:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        handlers = [signal.getsignal(number) for number in (2, 15, 17)]
        return mask, handlers, threading.active_count(), os.getpgrp(), os.getsid(0)

    tree = plant()
    before = facts()
    fds = set(os.listdir("/proc/self/fd"))
    supervisor = tree.launch()
    supervisor.fork(0)
    tree.actor().ask("print('said by a worker')")
    assert tree.guardian is not None
    supervisor.say(Verb.SHUTDOWN)
    assert tree.guardian.wait(20)
    print("said by the host")
    tree.close()
    tree.guardian = None

    assert before == facts()
    assert set(os.listdir("/proc/self/fd")) <= fds
    assert capfd.readouterr().out == "said by a worker\nsaid by the host\n"


def test_the_guardian_outlives_the_thread_that_started_it(tree: Tree) -> None:
    starter = threading.Thread(target=tree.launch)
    starter.start()
    starter.join()

    assert tree.guardian is not None
    assert not tree.guardian.wait(0.3)


def test_the_guardian_is_a_small_program_that_holds_nothing_of_the_host(
    tree: Tree,
) -> None:
    outlet, inlet = os.pipe()
    os.set_inheritable(inlet, True)
    tree.launch()
    assert tree.guardian is not None
    place = Path(f"/proc/{tree.guardian.pid}")

    assert place.joinpath("exe").resolve() == founding.PROGRAM
    assert until(lambda: "stem-guardian" in place.joinpath("comm").read_text())
    rollup = place.joinpath("smaps_rollup").read_text().split()
    assert int(rollup[rollup.index("Pss:") + 1]) < 2048, "kibibytes"
    assert until(lambda: len(os.listdir(place / "fd")) <= 11)
    os.close(inlet)
    os.set_blocking(outlet, False)
    assert until(lambda: at_its_end(outlet)), "somebody below still holds the pipe"
    os.close(outlet)


def at_its_end(outlet: int) -> bool:
    """Return whether nobody holds the other end of a non-blocking pipe."""
    try:
        return os.read(outlet, 1) == b""
    except BlockingIOError:
        return False


def test_the_supervisor_starts_clean(tree: Tree) -> None:
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        supervisor = tree.launch()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)

    status = Path(f"/proc/{supervisor.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(fields["SigBlk"], 16) == 0
    links = {
        int(fd): os.readlink(f"/proc/{supervisor.pid}/fd/{fd}")
        for fd in os.listdir(f"/proc/{supervisor.pid}/fd")
    }
    assert links[0] == "/dev/null"
    assert links[1] == links[2] == str(tree.directory / "supervisor.log")
    assert links[4] == "anon_inode:[eventfd]"
    # 3, 4, 5 by agreement, 6 and 7 are what our stand-in opened itself.
    assert set(links) <= set(range(8))
    log = tree.directory / "supervisor.log"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_killed_host_leaves_no_process_and_no_directory(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host()
    supervisor = tree.supervisor()
    supervisor.fork(0)
    actor = tree.actor()
    grandchildren = [actor.ask(f"spawn({it!r})") for it in ("plain", "setsid")]
    guardian = script.answer()["guardian"]
    below = [*children_of(guardian), guardian, *grandchildren]
    watches = [tree.watch(pid) for pid in below]

    script.kill()

    assert all(watch.is_gone(within_s=5) for watch in watches)
    assert not tree.directory.exists()
    assert script.rest() == "", "its pipe has an end, so nobody holds it"


def test_a_killed_guardian_takes_everybody_with_it(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    actor = tree.actor()
    assert tree.guardian is not None
    assert until(lambda: len(tree.zygotes()) == 2)
    watches = [tree.watch(pid) for pid in (actor.pid, *tree.zygotes())]
    # Stopped, they cannot go by themselves: only the kernel's signal takes them.
    for watch in (supervisor.watch, *watches):
        watch.kill(signal.SIGSTOP)

    signal.pidfd_send_signal(tree.guardian.pidfd, signal.SIGKILL)

    assert tree.guardian.wait(20)
    assert supervisor.watch.is_gone()
    assert all(watch.is_gone() for watch in watches)


def test_a_supervisor_that_does_not_listen_goes_with_its_guardian(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(supervisor_argv=("sleep", "600"))
    tree.guardian = launch(LaunchSpec(**tree.settings))
    sleeper = tree.watch(tree.child("sleep"))

    signal.pidfd_send_signal(tree.guardian.pidfd, signal.SIGKILL)

    assert sleeper.is_gone()


def test_a_zygote_that_still_prepares_goes_with_its_guardian(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(prepare=signal.pause)
    tree.launch()
    assert tree.guardian is not None
    assert until(lambda: len(tree.zygotes()) == 1)
    zygote = tree.watch(tree.zygotes()[0])

    signal.pidfd_send_signal(tree.guardian.pidfd, signal.SIGKILL)

    assert zygote.is_gone()


def test_shutdown_removes_the_directory_and_follows_no_link(tree: Tree) -> None:
    outside = tree.root / "outside"
    outside.mkdir()
    outside.joinpath("kept").touch()
    supervisor = tree.launch()
    tree.directory.joinpath("spool").mkdir()
    tree.directory.joinpath("spool", "body").touch()
    tree.directory.joinpath("link").symlink_to(outside)
    assert tree.guardian is not None

    supervisor.say(Verb.SHUTDOWN)

    assert tree.guardian.wait(20)
    assert not tree.directory.exists()
    assert outside.joinpath("kept").exists()


def test_a_named_directory_stays(plant: Callable[..., Tree]) -> None:
    tree = plant(remove_directory=False)
    supervisor = tree.launch()
    tree.directory.joinpath("arena").touch()
    assert tree.guardian is not None

    supervisor.say(Verb.SHUTDOWN)

    assert tree.guardian.wait(20)
    assert tree.directory.joinpath("arena").exists()


def test_signals_to_the_whole_group_leave_the_guardian_to_the_host(tree: Tree) -> None:
    supervisor = tree.launch()
    assert tree.guardian is not None

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGTTOU):
        signal.pidfd_send_signal(tree.guardian.pidfd, number)

    assert supervisor.fork(0).pid > 0
    assert tree.guardian.is_alive()


def test_a_host_that_ignores_sigchld_still_gets_exit_codes(tree: Tree) -> None:
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        supervisor = tree.launch()
    finally:
        signal.signal(signal.SIGCHLD, old)

    supervisor.fork(0)
    tree.actor().tell("os._exit(3)")

    assert supervisor.hear(Verb.DIED).value == 3 << 8


def test_the_bell_is_one_for_all(tree: Tree) -> None:
    supervisor = tree.launch()
    supervisor.fork(0)
    actor = tree.actor()

    def identity(pid: int, fd: int) -> list[str]:
        lines = Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines()
        return [line for line in lines if line.startswith("eventfd-id")]

    assert identity(supervisor.pid, 4)
    bell = identity(actor.pid, actor.ask("birth.bell_fd"))
    assert bell == identity(supervisor.pid, 4)


def test_a_spec_that_cannot_work_is_refused_with_all_its_problems() -> None:
    spec = LaunchSpec(
        directory="nowhere", supervisor_argv=(), worker_body=lambda birth: None
    )

    with pytest.raises(SettingsError) as caught:
        launch(spec)

    assert len(caught.value.problems) == 2


def test_a_guardian_that_cannot_be_run_is_an_error_of_the_host(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tree.root / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o700)
    monkeypatch.setattr(founding, "PROGRAM", broken)

    with pytest.raises(StemError, match=r"cannot run .*broken: .*Exec format error"):
        tree.launch()


def test_dying_with_the_parent_notices_a_parent_already_gone() -> None:
    child = os.fork()
    if child == 0:
        prctl.die_with_parent(os.getppid() + 1)
        os._exit(5)

    assert os.waitpid(child, 0)[1] == 0, "it did not exit at once"
