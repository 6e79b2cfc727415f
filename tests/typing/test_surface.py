"""The expectations of ``surface.py``, put to mypy and pyright."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SURFACES = ("surface.py", "definitions.py")
ROOT = HERE.parents[1]
Line = tuple[str, int]  # file and line
MYPY_LINE = re.compile(
    r"^(?P<file>[^:]+):(?P<line>\d+): (?P<kind>error|note): (?P<text>.*)$"
)
REVEALED = re.compile(r'(?:Revealed type is|Type of .* is) "(?P<type>.*)"', re.DOTALL)
MINIMUM = 60


@dataclass
class Findings:
    """What a checker says: the revealed types by line, and the lines with errors."""

    types: dict[Line, str] = field(default_factory=dict)
    errors: dict[Line, str] = field(default_factory=dict)

    def add(self, line: Line, text: str, *, is_error: bool) -> None:
        revealed = REVEALED.search(text)
        if revealed is not None:
            self.types[line] = normal(revealed["type"])
        elif is_error:
            self.errors[line] = text


def normal(text: str) -> str:
    """Return a type as both checkers would print it."""
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=\w)", "", text)  # qualified names
    text = text.replace("(", "[").replace(")", "]").replace(" = ...", " =")
    text = re.sub(r"Union\[(.*?), (.*?)\]", r"\1 | \2", text)
    return re.sub(r"(\w+: \w+) = [^,\]]+", r"\1 =", text)  # a default's own value


def expectations() -> tuple[dict[Line, str], set[Line]]:
    """Return the revealed types that are wanted, and the lines that must be refused."""
    types: dict[Line, str] = {}
    refused: set[Line] = set()
    for name in SURFACES:
        more_types, more_refused = expectations_of(name)
        types |= more_types
        refused |= more_refused
    return types, refused


def expectations_of(name: str) -> tuple[dict[Line, str], set[Line]]:
    """Return those of one file."""
    source = (HERE / name).read_text()
    lines = source.splitlines()
    types: dict[Line, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reveal_type":
            assert node.end_lineno is not None
            comment = lines[node.end_lineno - 1].partition("  # ")[2]
            types[name, node.args[0].lineno] = normal(comment)
    refused = {
        (name, n) for n, line in enumerate(lines, 1) if line.endswith("  # error")
    }
    return types, refused


def by_mypy() -> Findings:
    files = [HERE / name for name in SURFACES]
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *files]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    found = Findings()
    for line in done.stdout.splitlines():
        match = MYPY_LINE.match(line)
        if match is not None and Path(match["file"]).parent.name == HERE.name:
            is_error = match["kind"] == "error"
            place = Path(match["file"]).name, int(match["line"])
            found.add(place, match["text"], is_error=is_error)
    return found


def by_pyright() -> Findings:
    files = [HERE / name for name in SURFACES]
    command = [sys.executable, "-m", "pyright", "--outputjson", *files]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    found = Findings()
    for item in json.loads(done.stdout)["generalDiagnostics"]:
        line = item["range"]["start"]["line"] + 1
        is_error = item["severity"] == "error"
        place = Path(item["file"]).name, line
        found.add(place, item["message"], is_error=is_error)
    return found


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_checker_sees_what_the_surface_promises(checker: str) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed here: make lint installs it")
    types, refused = expectations()

    found = by_mypy() if checker == "mypy" else by_pyright()

    assert found.types == types
    assert set(found.errors) == refused, found.errors


def test_there_are_enough_expectations() -> None:
    types, refused = expectations()

    assert len(types) + len(refused) >= MINIMUM
