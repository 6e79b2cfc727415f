"""A host whose guardian has died starts another tree, unless somebody else is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stem_actor import StemApp
from tests.app.conftest import Maker
from tests.app.until import until

#: Holds the lock of a ring, as a supervisor does before it listens.
HOLDER = """
import sys
from pathlib import Path
from stem_actor.ring.directory import RingDirectory
fd = RingDirectory(Path(sys.argv[1]), is_anonymous=False).take_lock()
print("held", flush=True)
sys.stdin.read()
"""
HELD_S = 1.0


@contextmanager
def locked(app: StemApp) -> Iterator[int]:
    """Another process has the ring; yields its pid."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(app.directory.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid
        holder.stdin.close()


def test_a_ring_that_another_supervisor_has_taken_is_left_to_it_until_it_goes(
    make_app: Maker,
) -> None:
    app = make_app(broker="ring://taken", workers=1)
    with app:
        app.enqueue("add", {"a": 1}).result(timeout=20)
        guardian = app._host.guardian  # type: ignore[union-attr]
        os.kill(guardian.pid, signal.SIGKILL)  # type: ignore[union-attr]
        until(lambda: app.directory.owner() is None)
        with locked(app) as pid:
            handle = app.enqueue("add", {"a": 2})
            began = time.monotonic()
            while time.monotonic() - began < HELD_S:
                assert handle.wait(timeout=0.1).timed_out
            assert app.directory.owner() == pid
            assert app._host.guardian is guardian  # type: ignore[union-attr]

        assert handle.result(timeout=30) == 2
        assert app.directory.owner() not in (None, pid)


def test_a_tree_that_was_started_again_drains_like_the_first(make_app: Maker) -> None:
    app = make_app(broker="ring://again", workers=1)
    with app:
        app.enqueue("add", {"a": 1}).result(timeout=20)
        guardian = app._host.guardian  # type: ignore[union-attr]
        os.kill(guardian.pid, signal.SIGKILL)  # type: ignore[union-attr]
        handle = app.enqueue("nap", {"seconds": 0.7})
        until(lambda: (it := handle.status()) and it.state == "running")

        report = app.stop(deadline=20)

    assert (report.finished, report.unstarted) == (1, 0)
