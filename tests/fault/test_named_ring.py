"""A named ring outlives every process: host, guardian, supervisor, all at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from stem_actor.actor.supervisor.fence import born_at, fence
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.segment import create_segment
from tests.fault import evidence
from tests.fault.chaos import Tree
from tests.fault.conftest import SEEDS, TASKS, Place
from tests.fault.program import program, read_ledger
from tests.fault.soak import wait_until


@pytest.mark.parametrize("seed", SEEDS)
def test_a_new_host_ends_every_task_that_dead_hosts_accepted(
    place: Place, seed: int
) -> None:
    ledgers = [place.root / f"ledger-{turn}" for turn in range(3)]
    losses = 0
    for turn, ledger in enumerate(ledgers):
        # Each is killed in the middle of its enqueues, the later ones while they
        # recover what the one before has left as well.
        with program(
            "host", place.ring, ledger, place.journal,
            seed=seed << 8 | turn, count=TASKS,
        ) as host:  # fmt: skip
            assert wait_until(lambda it=ledger: len(read_ledger(it).accepted) > 40, 30)
            host.kill()
            losses += 3
        assert wait_until(lambda: _is_free(place), 20)

    app = place.named()
    with app:
        soak = place.soak(app, seed)
        for ledger in ledgers:
            soak.take_over(read_ledger(ledger))
        assert len(soak.plans) > 120
        soak.report.losses = losses
        assert wait_until(lambda: app.stats()["live"] == 0, 60), app.health()
        assert soak.audit() == []


def test_a_ring_whose_guardian_is_killed_is_started_again_by_its_host(
    place: Place,
) -> None:
    app, other = place.named(), place.named()
    with app:
        soak, theirs = place.soak(app, 1), place.soak(other, 2)
        for _ in range(3):
            soak.submit(40)
            theirs.submit(40)
            tree = Tree(app.directory)
            assert tree.signal(tree.guardian(), signal.SIGKILL)
            soak.report.losses += 3
            soak.drain()
            theirs.drain()  # its producer found the new supervisor by itself
        soak.plans.update(theirs.plans)
        soak.handles.update(theirs.handles)

        assert theirs.findings == []
        assert soak.audit() == []
        other.close()


def test_what_a_dying_creator_left_is_no_ring(place: Place) -> None:
    directory = RingDirectory(place.ring, is_anonymous=False)
    directory.create()
    for path in (directory.core, directory.bell, directory.worker_ring(0)):
        create_segment(path, 4096).close()  # not formatted, not published

    app = place.named()
    with app:
        place.soak(app, 0).submit(1)[0].wait(20)

        names = evidence.names_in(directory)

    assert [name for name in names if name.endswith(".new")] == []


def test_files_that_no_task_claims_are_removed_once_they_are_old(place: Place) -> None:
    app = place.named()
    app.start()
    soak = place.soak(app, 0)
    soak.submit(1)[0].wait(20)
    app.stop()
    spool = app.directory.spool
    old, fresh, strange = (
        spool / f"{'0' * 31}1.args",
        spool / f"{'0' * 31}2.args.tmp",
        spool / "README",
    )
    for path in (old, fresh, strange):
        path.write_bytes(b"x")
    for path in (old, strange):
        os.utime(path, (0, 0))

    with place.named():
        left = sorted(path.name for path in spool.iterdir())

    assert left == sorted([fresh.name, strange.name])


def test_the_fence_ends_the_process_it_means_and_no_other() -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with (
        subprocess.Popen(command, start_new_session=True) as mine,
        subprocess.Popen(command, start_new_session=True) as other,
    ):
        try:
            os.kill(mine.pid, signal.SIGSTOP)  # it dies nevertheless

            fence(mine.pid, born_at(mine.pid))
            fence(other.pid, born_at(other.pid) + 1)  # a pid that was given again
            fence(other.pid, 0)

            assert mine.wait(0) == -signal.SIGKILL
            assert other.poll() is None
        finally:
            mine.kill()
            other.kill()


def _is_free(place: Place) -> bool:
    """Whether the tree of a dead host is gone: a second start is refused before."""
    return RingDirectory(place.ring, is_anonymous=False).owner() is None
