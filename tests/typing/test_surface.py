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

SURFACE = Path(__file__).with_name("surface.py")
ROOT = SURFACE.parents[2]
MYPY_LINE = re.compile(r"^[^:]+:(?P<line>\d+): (?P<kind>error|note): (?P<text>.*)$")
REVEALED = re.compile(r'(?:Revealed type is|Type of .* is) "(?P<type>.*)"', re.DOTALL)
MINIMUM = 60


@dataclass
class Findings:
    """What a checker says: the revealed types by line, and the lines with errors."""

    types: dict[int, str] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)

    def add(self, line: int, text: str, *, is_error: bool) -> None:
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


def expectations() -> tuple[dict[int, str], set[int]]:
    """Return the revealed types that are wanted, and the lines that must be refused."""
    source = SURFACE.read_text()
    lines = source.splitlines()
    types: dict[int, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reveal_type":
            assert node.end_lineno is not None
            comment = lines[node.end_lineno - 1].partition("  # ")[2]
            types[node.args[0].lineno] = normal(comment)
    refused = {n for n, line in enumerate(lines, 1) if line.endswith("  # error")}
    return types, refused


def by_mypy() -> Findings:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", SURFACE]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    found = Findings()
    for line in done.stdout.splitlines():
        match = MYPY_LINE.match(line)
        if match is not None and "typing/surface.py" in line:
            is_error = match["kind"] == "error"
            found.add(int(match["line"]), match["text"], is_error=is_error)
    return found


def by_pyright() -> Findings:
    command = [sys.executable, "-m", "pyright", "--outputjson", SURFACE]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    found = Findings()
    for item in json.loads(done.stdout)["generalDiagnostics"]:
        line = item["range"]["start"]["line"] + 1
        is_error = item["severity"] == "error"
        found.add(line, item["message"], is_error=is_error)
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
