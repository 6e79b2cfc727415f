"""The ceilings of the house style, and the purity of ``model/`` and ``policy/``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.c_functions import Function, UnbalancedBraces, c_functions
from tests.imports import ROOT, Import, imports_of

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
COLUMNS_MAX = 88

FOLDERS = ("stem_actor", "native", "tests", "bench")
PYTHON = {".py", ".pyi"}
C = {".c", ".h"}
SHELL = {".sh"}
VAGUE_NAMES = {"utils", "util", "common", "helpers", "misc", "base", "manager"}

PURE_FOLDERS = ("stem_actor/model", "stem_actor/policy")
IMPURE_MODULES = {"os", "time", "secrets", "uuid", "stem_actor.clock"}
IMPURE_CALLS = {"now", "utcnow", "today", "time_ns", "monotonic_ns", "urandom"}


def source_files(root: Path) -> list[Path]:
    """Return the source files under the ceilings, the top-level ones included."""
    files = [*root.glob("*.py")]
    for folder in FOLDERS:
        files += (root / folder).rglob("*")
    return sorted(f for f in files if f.suffix in PYTHON | C | SHELL and f.is_file())


def findings(root: Path) -> list[str]:
    """Return one line for each ceiling broken below *root*."""
    found = []
    for file in source_files(root):
        place = file.relative_to(root)
        text = file.read_text("utf-8")
        lines = text.splitlines()
        if len(lines) > FILE_LINES_MAX:
            found.append(f"{place}: {len(lines)} lines")
        found += [
            f"{place}:{number}: {len(line)} columns"
            for number, line in enumerate(lines, 1)
            if len(line) > COLUMNS_MAX
        ]
        if _is_vague(place):
            found.append(f"{place}: a name that says nothing")
        try:
            functions = functions_of(file.suffix, text)
        except UnbalancedBraces as error:
            found.append(f"{place}: braces: {error}")
            continue
        found += [
            f"{place}:{function.line}: {function.name} has {function.length} lines"
            for function in functions
            if function.length > FUNCTION_LINES_MAX
        ]
    return found


def functions_of(suffix: str, text: str) -> list[Function]:
    """Return the functions of a source text, nested ones included."""
    if suffix in C:
        return c_functions(text)
    if suffix not in PYTHON:
        return []
    return [
        Function(node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _is_vague(place: Path) -> bool:
    names = [*place.parent.parts, place.stem]
    return any(name.removeprefix("sa_").strip("_") in VAGUE_NAMES for name in names)


def impurities(root: Path) -> list[str]:
    """Return one line for each clock, OS or global die in the pure folders."""
    found = []
    for folder in PURE_FOLDERS:
        for file in sorted((root / folder).rglob("*.py")):
            place = file.relative_to(root)
            found += [
                f"{place}:{edge.line}: imports {edge.target}"
                for edge in imports_of(file, root)
                if _is_impure(edge)
            ]
            found += [
                f"{place}:{node.lineno}: calls {ast.unparse(node.func)}()"
                for node in ast.walk(ast.parse(file.read_text("utf-8")))
                if isinstance(node, ast.Call) and _reads_the_world(node)
            ]
    return found


def _is_impure(edge: Import) -> bool:
    names = {edge.module, edge.target, edge.module.split(".")[0]}
    if edge.module == "random":
        return edge.name != "Random"  # the type of a die that the caller hands in
    return not names.isdisjoint(IMPURE_MODULES)


def _reads_the_world(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr=name):
            return name in IMPURE_CALLS
        case ast.Name(id="Random"):
            return not call.args  # without a seed it asks the operating system
    return False


def test_the_tree_keeps_its_ceilings() -> None:
    found = findings(ROOT)

    assert not found, "\n".join(found)


def test_model_and_policy_know_no_clock_no_os_and_no_global_dice() -> None:
    found = impurities(ROOT)

    assert not found, "\n".join(found)


LONG_PYTHON = "async def slow() -> None:\n" + "    pass\n" * FUNCTION_LINES_MAX
LONG_C = "static int\nslow(void)\n{\n" + "    ;\n" * (FUNCTION_LINES_MAX - 3) + "}\n"


@pytest.mark.parametrize(
    ("place", "text", "finding"),
    [
        ("stem_actor/a.py", "\n" * 401, "stem_actor/a.py: 401 lines"),
        ("bench/a.py", "#" * 89, "bench/a.py:1: 89 columns"),
        ("native/a.h", "/*" + "é" * 90, "native/a.h:1: 92 columns"),
        ("tests/a.py", LONG_PYTHON, "tests/a.py:1: slow has 61 lines"),
        ("native/a.c", LONG_C, "native/a.c:1: slow has 61 lines"),
        ("native/a.c", "int f(void) {", "native/a.c: braces: 1 left open at the end"),
        ("stem_actor/utils.py", "", "stem_actor/utils.py: a name that says nothing"),
        ("native/sa_misc.c", "", "native/sa_misc.c: a name that says nothing"),
        ("stem_actor/base/a.py", "", "stem_actor/base/a.py: a name that says nothing"),
    ],
)
def test_a_broken_ceiling_is_found(
    tmp_path: Path, place: str, text: str, finding: str
) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(text, "utf-8")

    assert findings(tmp_path) == [finding]


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ("import time", "1: imports time"),
        ("def f():\n    from os import path", "2: imports os.path"),
        ("import random", "1: imports random"),
        ("from random import random", "1: imports random.random"),
        ("from .. import clock", "1: imports stem_actor.clock"),
        ("from ..clock import Clock", "1: imports stem_actor.clock.Clock"),
        ("datetime.now()", "1: calls datetime.now()"),
        ("Random()", "1: calls Random()"),
    ],
)
def test_an_impure_line_is_found(tmp_path: Path, source: str, finding: str) -> None:
    file = tmp_path / "stem_actor/policy/a.py"
    file.parent.mkdir(parents=True)
    file.write_text(source)

    assert impurities(tmp_path) == [f"stem_actor/policy/a.py:{finding}"]


def test_a_die_that_is_handed_in_is_pure(tmp_path: Path) -> None:
    file = tmp_path / "stem_actor/model/a.py"
    file.parent.mkdir(parents=True)
    file.write_text("from random import Random\nRandom(7).random()\n")

    assert impurities(tmp_path) == []


def test_a_brace_in_a_string_comment_or_macro_is_no_brace() -> None:
    text = (
        '#define OPEN \\\n    {\nstatic const char *s = "{";\n'
        "/* { */\nstruct pair { int a; };\nint t[] = { 1, '{' };\n"
        'int f(int a) // {\n{\n    int b = a;\n    if (b) {\n        return *"}";\n'
        "    }\n    return 0;\n}\n"
    )

    assert c_functions(text) == [Function("f", 7, 8)]
