"""The main job, on real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.cli.terminal import TIMEOUT_S, Terminal, end

RINGS: Final = Path(f"/dev/shm/stem-{os.geteuid()}")

GOOD: Final = "def f():\n    return 1\n\n\nclass C:\n    pass\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Sources with every kind of trouble."""
    root = tmp_path / "tree"
    (root / "inner").mkdir(parents=True)
    for number in range(70):  # more than one sum takes
        (root / "inner" / f"good{number}.py").write_text(GOOD)
    (root / "bad.py").write_text("print 'two'\n")
    (root / "coding.py").write_bytes(b"# coding: nope\n")
    (root / "latin.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    (root / "null.py").write_bytes(b"x = 1\0\n")
    (root / "large.py").write_text("x = 1\n" * 50_000)
    return root


def rings_of(pid: int) -> list[Path]:
    return list(RINGS.glob(f"anon-{pid}-*"))


def test_the_survey_accounts_for_every_file(terminal: Terminal, tree: Path) -> None:
    process = terminal.start("demo", tree, "--workers", 2, "--json")
    out, err = process.communicate(timeout=TIMEOUT_S)

    found = terminal.answer(process, out, err).json
    failed = {it["file"]: it["attempts"] for it in found["failures"]}
    assert (
        process.returncode, found["complete"], found["files"], found["records"],
    ) == (0, True, 75, 75)  # fmt: skip
    assert failed == {"bad.py": 1, "coding.py": 1, "null.py": 1}
    assert found["totals"]["files"] == 72
    assert found["totals"]["definitions"] == 140
    assert found["totals"]["lines"] == 70 * 6 + 2 + 50_000
    assert found["totals"]["encodings"] == {"iso8859-1": 1, "utf-8": 71}
    assert found["totals"]["biggest"][0]["file"] == "large.py"
    assert rings_of(process.pid) == []


def test_the_text_says_what_failed_and_why(terminal: Terminal, tree: Path) -> None:
    answer = terminal.run("demo", tree, "--workers", 1)

    assert answer.code == 0
    assert "Failed: 3 files" in answer.out
    assert "SyntaxError  unknown encoding: nope" in answer.out
    assert "75 of 75 files ended in exactly one terminal record" in answer.out
    assert "\x1b" not in answer.out
    assert answer.err == ""


def test_the_report_is_the_same_whatever_is_killed(
    terminal: Terminal, tmp_path: Path
) -> None:
    # Some seconds of work on any machine: a standard library may be a small one.
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(160):
        body = f"def work_{number}(a, b):\n" + "    a = [a, b, (a, b), {a: b}]\n" * 3000
        (sources / f"module_{number:03}.py").write_text(body)

    answer = terminal.run("demo", sources, "--chaos", "--json", timeout_s=110)

    found = answer.json
    chaos = found["chaos"]
    assert (answer.code, found["same"], chaos["complete"]) == (0, True, True)
    assert chaos["faults"]["workers_killed"] > 0
    assert chaos["faults"]["supervisors_killed"] == 1


def test_an_interrupted_demo_leaves_nothing_behind(terminal: Terminal) -> None:
    process = terminal.start("demo", "--workers", 2)
    assert process.stdout is not None
    process.stdout.readline()  # it has begun

    process.send_signal(signal.SIGINT)
    end(process)

    assert process.returncode == 130
    deadline = time.monotonic() + 10
    while rings_of(process.pid):  # its guardian sees the end, and tidies up
        assert time.monotonic() < deadline, rings_of(process.pid)
        os.sched_yield()


def test_workers_that_import_the_survey_find_its_tasks() -> None:
    from stem_actor import StemApp
    from stem_actor.cli import survey

    app = StemApp([survey.survey_file, survey.gather], workers=1, start_method="import")
    with app:
        facts = survey.survey_file.enqueue(os.fsencode(__file__), "me").result(30)
        total = survey.gather.enqueue([facts], []).result(30)

    assert (1, facts.lines) == (total.files, total.lines)
    assert "stem_actor.cli.survey" in sys.modules
