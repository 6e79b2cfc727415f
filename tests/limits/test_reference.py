"""The table of cases claims nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "reference" / "limits.md"
CASES = range(1, 54)
UNSHOWN = ("TBD", "not shown here")


def rows() -> dict[int, str]:
    """Return the last cell of each row by the number of its case."""
    found = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", TABLE.read_text(), re.MULTILINE)
    return {int(number): tests for number, tests in found}


def test_every_case_has_a_row() -> None:
    assert list(rows()) == list(CASES)


def test_every_test_that_is_named_exists() -> None:
    text = TABLE.read_text()
    sources = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))

    for name in re.findall(r"::(test_\w+)", text):
        assert f"def {name}(" in sources, name
    for name in re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py)", text):
        folder = TESTS.parent if name.startswith("tests/") else TESTS / "limits"
        assert (folder / name).exists(), name


def test_every_case_with_a_row_has_a_test_marked_with_its_number() -> None:
    sources = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    marked = {int(it) for it in re.findall(r"mark\.case\((\d+)\)", sources)}
    shown = {it for it, tests in rows().items() if not tests.startswith(UNSHOWN)}

    assert shown <= marked, sorted(shown - marked)
