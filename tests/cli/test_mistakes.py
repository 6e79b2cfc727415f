"""A user's mistake is one line that says what to change, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stem_actor.cli import main
from tests.cli.terminal import Terminal

ID = "01a20a56-388b-70ba-ae4e-a8ee030e65d4"


@pytest.fixture
def here(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The working directory, with a module ``shop``; the import path is put back."""
    terminal.write_shop()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "core.seg").write_bytes(b"no ring" * 4096)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    yield tmp_path
    sys.modules.pop("shop", None)


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("bogus", 64, "No such command 'bogus'; there are: demo, worker,"),
        ("staus", 64, "No such command 'staus'; did you mean 'status'?"),
        ("dlq lst", 64, "No such command 'lst'. Did you mean 'list'?"),
        ("status shop:app", 64, "see stem-actor status --help"),
        ("status --rign x", 64, "Did you mean '--ring'?"),
        ("demo ./nowhere", 64, "'./nowhere' does not exist"),
        ("demo ./shop.py", 64, "is a file"),
        ("demo ./empty", 64, "no Python source below empty"),
        ("demo --workers 0", 64, "--workers"),
        ("worker", 64, "MODULE:APP"),
        ("worker shop", 64, 'use "module:app"'),
        ("worker ./shop.py", 64, 'as in an import: "shop.tasks:app"'),
        ("worker shop.py:app", 64, "named as in an import, 'shop'"),
        (f"worker shop:app --queues {'q' * 129}", 64, "at most 128 bytes"),
        ("worker nowhere:app", 64, "there is no module 'nowhere'"),
        ("worker no.where:app", 64, "there is no module 'no.where'"),
        ("worker shop:ap", 64, "has no 'ap'; its apps: app"),
        ("worker shop:number", 64, "shop:number is no StemApp but of type int"),
        ("worker shop:app --queues ,", 64, "it names no queue"),
        ("worker shop:app --name a?b", 64, "is not a ring URL"),
        ("status", 64, "either --ring NAME or --app MODULE:APP"),
        ("status --ring a --app shop:app", 64, "either --ring NAME or --app"),
        ("status --ring ring://", 64, "names no ring"),
        ("status --ring redis://host", 64, "is not a ring URL"),
        ("status --ring ./nowhere", 70, "no supervisor runs the ring at"),
        ("status --app shop:app", 70, "run stem-actor worker"),
        ("health --ring ./nowhere --nope", 64, "--nope"),
        ("top --once --ring ./nowhere", 70, "there is no ring at"),
        ("top --once --ring ./broken", 70, "is no ring"),
        ("tasks show 12 --ring ./nowhere", 64, "'12' has 2 characters"),
        (f"tasks show {ID} --ring ./nowhere", 70, "no supervisor runs"),
        ("dlq show 12 --ring ./nowhere", 64, "not a task id"),
        (f"dlq replay {ID} --limit 3 --ring ./nowhere", 64, "choose entries"),
        ("queues pause --ring ./nowhere", 64, "QUEUE"),
        ("tasks list --state done --ring ./nowhere", 64, "'done' is not one of"),
        ("tasks list --limit 0 --ring ./nowhere", 64, "0 is not in the range"),
        ("tasks list --ring ./nowhere", 70, "no supervisor runs"),
        ("bench --seconds 0", 64, "--seconds"),
        ("bench --workers 0", 64, "--workers"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_mistake_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], line: str, code: int, part: str
) -> None:
    found = main(line.split())

    out, err = capsys.readouterr()
    assert (code, 1, "") == (found, err.count("\n"), out), err
    assert err.startswith("stem-actor: ")
    assert part in err


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([])

    assert code == 64
    assert "Commands:" in capsys.readouterr().err


def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    names = (
        "demo", "worker", "status", "health", "top", "queues", "tasks", "dlq", "bench",
    )  # fmt: skip

    codes = [main([name, "--help"]) for name in names]

    assert codes == [0] * len(names)
    assert capsys.readouterr().out.count("Usage: stem-actor ") == len(names)


def test_the_version_is_the_packages(terminal: Terminal) -> None:
    answer = terminal.run("--version")

    assert answer == type(answer)(0, "stem-actor, version 0.1.0\n", "")


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("1 / 0", "worker faulty:app", "ZeroDivisionError: division by zero"),
        ("import nowhere", "worker faulty:app", "ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)", "worker faulty:app", "SystemExit: 3"),
        ("def f(:", "health --app faulty:app", "SyntaxError: invalid syntax"),
        ("assert False", "status --app faulty:app", "AssertionError"),
    ],
)
def test_a_module_that_fails_is_one_line_with_the_error_and_its_place(
    terminal: Terminal, source: str, line: str, said: str
) -> None:
    (terminal.folder / "faulty.py").write_text(f"import os\n{source}\n")

    answer = terminal.run(*line.split())

    assert (answer.code, answer.err.count("\n"), answer.out) == (64, 1, ""), answer
    begin = f"stem-actor: module 'faulty' cannot be imported: {said}"
    assert answer.err.startswith(begin)
    assert "(faulty.py:2); --traceback" in answer.err


@pytest.mark.parametrize("line", ["worker faulty:app", "health --app faulty:app"])
def test_the_whole_traceback_of_a_module_is_shown_on_request(
    terminal: Terminal, line: str
) -> None:
    text = "def begin():\n    return 1 / 0\n\nbegin()\n"
    (terminal.folder / "faulty.py").write_text(text)

    answer = terminal.run(*line.split(), "--traceback")

    *traceback, last = answer.err.splitlines()
    assert answer.code == 64
    assert traceback[0] == "Traceback (most recent call last):"
    assert any("faulty.py" in it and "line 4" in it for it in traceback)
    assert last.endswith("ZeroDivisionError: division by zero (faulty.py:2)")
