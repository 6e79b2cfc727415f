"""A lost start that waits for its verdict: health tells of it, a drain waits for it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from stem_actor import StemApp, StopReport, TaskHandle
from stem_actor.actor.host import host
from tests.app.conftest import Maker
from tests.app.until import until

#: Runs a supervisor that judges nothing while a file is there.
BOOT = """
import os, sys
sys.path[:0] = {path!r}
from stem_actor.actor.supervisor.judge import Judge
from stem_actor.actor.supervisor.supervisor import main

judge = Judge.judge

def when_it_may(self, slot, cause):
    return not os.path.exists({hold!r}) and judge(self, slot, cause)

Judge.judge = when_it_may
main()
"""
DEADLINE_S = 1.5


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that keeps verdicts back."""
    path = tmp_path / "hold"
    path.touch()

    def argv(_directory: Path, python: str) -> tuple[str, ...]:
        boot = BOOT.format(path=sys.path, hold=str(path))
        return (python, "-I", "-c", boot, str(_directory))

    monkeypatch.setattr(host, "supervisor_argv", argv)
    return path


def lost(app: StemApp) -> TaskHandle[object]:
    """A task whose worker has died, and which waits for its verdict."""
    handle = app.enqueue("die", {"number": int(signal.SIGKILL)})
    until(lambda: (it := handle.status()) and it.meta.get("waiting") == WAITING)
    return handle


WAITING = "its worker has just died"


def stop(app: StemApp, told: list[StopReport]) -> threading.Thread:
    thread = threading.Thread(target=lambda: told.append(app.stop(DEADLINE_S)))
    thread.start()
    return thread


def test_health_is_red_while_a_verdict_is_late_and_green_after_it(
    make_app: Maker, hold: Path
) -> None:
    with make_app(broker="ring://held") as app:
        handle = lost(app)

        told = until(lambda: [it for it in app.health()["problems"] if "verdict" in it])
        hold.unlink()
        result = handle.wait(timeout=30)

        assert told[0].startswith(f"task {handle.id} has lost its start, and waits for")
        assert result.is_failed
        assert until(lambda: app.health()["ok"])


def test_a_stop_waits_for_a_verdict_that_comes(make_app: Maker, hold: Path) -> None:
    app = make_app(broker="ring://held")
    with app:
        lost(app)
        told: list[StopReport] = []
        thread = stop(app, told)
        thread.join(DEADLINE_S / 3)
        assert thread.is_alive(), "it has not waited"
        hold.unlink()
        thread.join(30)

    with app:
        recovered = app.stats()["recovered"]

    assert recovered["held"] == 0
    # Judged: it runs again. It had started, so the next start goes on with it.
    assert told[0].unstarted == 1


def test_a_stop_waits_for_a_verdict_no_longer_than_its_deadline_and_a_second(
    make_app: Maker, hold: Path
) -> None:
    app = make_app(broker="ring://held")
    with app:
        handle = lost(app)
        began = time.monotonic()
        report = app.stop(DEADLINE_S)
        took = time.monotonic() - began
    hold.unlink()

    with app:
        recovered = app.stats()["recovered"]
        status = until(lambda: (it := app.status(handle.id)) and it.is_terminal and it)

    assert DEADLINE_S + 1.0 <= took < DEADLINE_S + 1.0 + 6.0
    assert (report.unstarted, recovered["held"]) == (1, 1)
    assert status.state == "failed"
