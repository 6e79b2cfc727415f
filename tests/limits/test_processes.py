"""What a handler does to its process, and what it leaves beside it."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp
from tests.limits import jobs_processes
from tests.limits.conftest import LATE_S, ended, eventually, verdict_of
from tests.limits.footing import all_gone
from tests.limits.journal import Journal

JOBS = (jobs_processes,)

_C = """
int recur(int depth) { volatile char room[4096]; room[0] = (char)depth;
    return recur(depth + 1) + room[0]; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library of C that a handler may crash in."""
    folder = tmp_path_factory.mktemp("c")
    source, library = folder / "c.c", folder / "c.so"
    source.write_text(_C)
    command = ["gcc", "-O0", "-shared", "-fPIC", "-w", "-o", library, source]
    subprocess.run(command, check=True)
    return str(library)


def end_of(app: StemApp, name: str, args: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Run *name*; return reason, signal and exit status of its verdict."""
    verdict = verdict_of(ended(app.enqueue(name, args)))
    return verdict.reason, verdict.signal, verdict.exit_status


@pytest.mark.case(18)
@pytest.mark.parametrize(
    ("name", "args", "end"),
    [
        ("leave", {"status": 0}, ("crashed", None, 0)),
        ("leave", {"status": 3}, ("crashed", None, 3)),
        ("exit_by_exception", {"code": None}, ("raised", None, 0)),
        ("exit_by_exception", {"code": 2}, ("raised", None, 2)),
        ("abort", {}, ("crashed", signal.SIGABRT, None)),
        ("read_null", {}, ("crashed", signal.SIGSEGV, None)),
        ("read_cut_file", {}, ("crashed", signal.SIGBUS, None)),
        ("signal_self", {"number": int(signal.SIGILL)}, ("crashed", 4, None)),
        ("signal_self", {"number": int(signal.SIGFPE)}, ("crashed", 8, None)),
        ("signal_self", {"number": int(signal.SIGKILL)}, ("crashed", 9, None)),
    ],
)
def test_an_end_of_the_process_is_told_right_five_times_in_a_row(
    limits_app: StemApp, name: str, args: dict[str, Any], end: tuple[Any, Any, Any]
) -> None:
    assert [end_of(limits_app, name, args) for _ in range(5)] == [end] * 5
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(18)
def test_a_stack_that_overflows_in_c_is_a_crash_with_its_last_words(
    limits_app: StemApp, library: str
) -> None:
    result = ended(limits_app.enqueue("overflow_stack", {"library": library}))

    verdict = verdict_of(result)
    assert (verdict.reason, verdict.signal) == ("crashed", signal.SIGSEGV)
    assert verdict.stack is not None
    assert "overflow_stack" in verdict.stack


@pytest.mark.case(20)
def test_a_worker_leaves_without_joining_a_thread_that_was_left_over(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("leave_thread", {"path": journal.path}))

    assert result.status is not None
    assert result.status.verdict is not None
    assert result.status.verdict.threads == ("left-over",)
    assert all_gone([result.value])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        pytest.param("start_plain", 1, marks=pytest.mark.case(28)),
        pytest.param("start_session", 1, marks=pytest.mark.case(29)),
        pytest.param("start_daemon", 1, marks=pytest.mark.case(30)),
        pytest.param("start_pool", 2, marks=pytest.mark.case(31)),
        pytest.param("start_program", 1, marks=pytest.mark.case(32)),
    ],
)
def test_the_hard_limit_takes_every_process_along_that_the_handler_has_begun(
    limits_app: StemApp, journal: Journal, name: str, count: int
) -> None:
    began = time.monotonic()

    verdict = verdict_of(ended(limits_app.enqueue(name, {"path": journal.path})))

    assert time.monotonic() - began < 1.0 + LATE_S
    assert (verdict.reason, verdict.signal) == ("hard", signal.SIGKILL)
    pids = [int(word) for word in journal.words]
    assert len(pids) == count
    assert all_gone(pids)
    told = " ".join(verdict.descendants)
    if name != "start_daemon":  # its parent is dead: the kernel has moved it to us
        assert any(f"({pid})" in told for pid in pids)
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.case(33)
def test_a_child_of_a_handler_finds_no_ring_and_may_not_use_it(
    limits_app: StemApp,
) -> None:
    found = ended(limits_app.enqueue("write_in_child", {})).value

    assert found == ["unmapped", "refused", "refused", "refused"]
    assert ended(limits_app.enqueue("add", {"a": 1})).value == 1


@pytest.mark.parametrize("count", [1, 2, 8])
def test_runners_that_fork_on_and_on_are_all_caught(
    limits_app: StemApp, tmp_path: Path, count: int
) -> None:
    path = tmp_path / "runners"
    stop = path.with_suffix(".stop")

    try:
        args = {"path": str(path), "count": count}
        verdict = verdict_of(ended(limits_app.enqueue("run_forks", args)))

        assert verdict.reason == "hard"
        assert eventually(lambda: not _runners())
    finally:
        stop.touch()  # whatever the sweep has missed ends by itself


def _runners() -> list[int]:
    """Return the pids of runners: by birth workers, but each leads its own session."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_runner(entry)
    ]


def _is_runner(entry: Path) -> bool:
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
        name = (entry / "comm").read_text().strip()
    except OSError:
        return False
    return name.startswith("stem-worker") and fields[3] == entry.name
