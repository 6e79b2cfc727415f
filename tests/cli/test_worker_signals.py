"""``stem-actor worker`` and its signals: the supervisor works, dies or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from stem_actor.ring.directory import RingDirectory
from tests.app.until import until
from tests.cli.terminal import TIMEOUT_S, Terminal, end, first_line


@pytest.fixture
def worker(terminal: Terminal) -> Iterator[subprocess.Popen[str]]:
    """The shop's workers; the test ends them."""
    terminal.write_shop()
    process = terminal.start("worker", "shop:app")
    assert first_line(process).endswith(": ready\n")
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    end(process)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]
)
def test_every_signal_that_ends_ends_well_where_the_supervisor_works(
    worker: subprocess.Popen[str], number: signal.Signals
) -> None:
    worker.send_signal(number)

    out, err = worker.communicate(timeout=TIMEOUT_S)

    assert err == ""
    assert (worker.returncode, out) == (0, "")


def test_a_second_sigterm_ends_it_while_the_supervisor_hangs(
    terminal: Terminal, worker: subprocess.Popen[str]
) -> None:
    owner = _owner(terminal)
    os.kill(owner, signal.SIGSTOP)

    # Two that are one to the kernel are one to everybody.
    def end_it() -> bool:
        worker.send_signal(signal.SIGTERM)
        return worker.poll() is not None

    until(end_it)

    assert worker.returncode == 128 + signal.SIGTERM
    assert not os.path.exists(f"/proc/{owner}")


def test_a_supervisor_that_is_replaced_says_nothing_on_the_terminal(
    terminal: Terminal, worker: subprocess.Popen[str]
) -> None:
    first = _owner(terminal)
    os.kill(first, signal.SIGKILL)
    until(lambda: _owner(terminal) not in (0, first))
    until(lambda: terminal.run("health", "--app", "shop:app").code == 0)

    worker.terminate()
    _, err = worker.communicate(timeout=TIMEOUT_S)

    assert err == ""
    assert worker.returncode == 0


def test_a_worker_command_that_cannot_start_says_why_and_ends(
    terminal: Terminal,
) -> None:
    terminal.write_shop()
    process = terminal.start("worker", "shop:app")
    assert first_line(process).endswith(": ready\n")
    process.terminate()
    end(process)
    core = terminal.ring / "core.seg"
    core.unlink()
    core.mkdir()

    answer = terminal.run("worker", "shop:app")

    assert answer.code == 70
    assert answer.err.count("\n") == 1
    assert "failed: " in answer.err


def _owner(terminal: Terminal) -> int:
    return RingDirectory(terminal.ring, is_anonymous=False).owner() or 0
