"""The documents are true: each of their Python snippets runs as it stands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.imports import ROOT

DOCUMENTS = ("*.md", "docs/**/*.md", "bench/*.md")
TIMEOUT_S = 60
FENCE = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>```+|~~~+)[ \t]*(?P<info>[^\n`]*)\n"
    r"(?P<body>.*?)"
    r"^[ \t]*(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """
    One fenced block of Python.

    Attributes:
        document: The file, from the root of the project.
        line: 1-based line of its first line of code in the file.
        info: What stands behind the fence, ``python`` or ``python no-run``.
        source: The code, dedented.
    """

    document: str
    line: int
    info: str
    source: str

    @property
    def program(self) -> str:
        """The code, moved down so that a traceback names the line of the file."""
        return "\n" * (self.line - 1) + self.source


def snippets_of(text: str, document: str) -> list[Snippet]:
    """Return every block of *text* whose fence speaks of Python, in any spelling."""
    return [
        Snippet(
            document=document,
            line=text.count("\n", 0, match.start("body")) + 1,
            info=match["info"].strip(),
            source=textwrap.dedent(match["body"]),
        )
        for match in FENCE.finditer(text)
        if match["info"].strip().lower().startswith("py")
    ]


def run_program(program: Path, *, timeout_s: float) -> tuple[int, str]:
    """
    Run a script in its own folder and process group, and take the group down with it.

    Returns:
        Its exit status and all it printed.

    Raises:
        subprocess.TimeoutExpired: If it runs longer than *timeout_s* seconds.
    """
    process = subprocess.Popen(
        [sys.executable, str(program)],
        cwd=program.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, output


SNIPPETS = [
    snippet
    for pattern in DOCUMENTS
    for path in sorted(ROOT.glob(pattern))
    for snippet in snippets_of(path.read_text("utf-8"), str(path.relative_to(ROOT)))
]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda s: f"{s.document}:{s.line}")
def test_a_snippet_of_a_document_runs(snippet: Snippet, tmp_path: Path) -> None:
    # Anything else behind the fence would be a snippet that nobody checks.
    assert snippet.info in {"python", "python no-run"}
    compile(snippet.program, snippet.document, "exec")
    if snippet.info == "python no-run":
        return
    program = tmp_path / "snippet.py"
    program.write_text(snippet.program, "utf-8")

    status, output = run_program(program, timeout_s=TIMEOUT_S)

    assert status == 0, f"{snippet.document}:{snippet.line}:\n{output}"


def test_snippets_are_found_in_every_form() -> None:
    text = (
        "a\n```python\nx = 1\n```\n- b\n  ```python no-run\n  y = 2\n  ```\n~~~py\n~~~"
    )

    found = snippets_of(text + "\n```sh\nmake test\n```\n", "a.md")

    assert found == [
        Snippet("a.md", 3, "python", "x = 1\n"),
        Snippet("a.md", 7, "python no-run", "y = 2\n"),
        Snippet("a.md", 10, "py", ""),
    ]


def test_a_failing_snippet_names_its_line(tmp_path: Path) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(Snippet("a.md", 41, "python", "1 / 0\n").program)

    status, output = run_program(program, timeout_s=TIMEOUT_S)

    assert status == 1
    assert "line 41" in output
    assert "ZeroDivisionError" in output


def test_a_snippet_that_hangs_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "snippet.py"
    program.write_text("import signal\nsignal.pause()\n")

    with pytest.raises(subprocess.TimeoutExpired):
        run_program(program, timeout_s=0.2)
