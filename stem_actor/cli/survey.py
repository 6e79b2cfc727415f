"""The survey: what the demo has workers do with each file of Python source."""

from __future__ import annotations

import ast
import codecs
import os
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

from stem_actor import TaskRetryPolicy, task

__all__ = [
    "FileFacts",
    "Function",
    "Totals",
    "gather",
    "survey_file",
    "survey_file_under_fire",
]

TOP: Final = 10
SOFT_LIMIT_S: Final = 10
HARD_LIMIT_S: Final = 20
MAX_RETRIES: Final = 2
_MANY: Final = 10_000

#: Source that does not parse will not parse the next time; a file that cannot be read
#: may be readable a moment later.
_POLICY: Final = TaskRetryPolicy(
    backoff=True,
    default_delay=0.1,
    dont_auto_retry_for=(SyntaxError, ValueError, RecursionError),
)


@dataclass(frozen=True, slots=True, order=True)
class Function:
    """A function and how many lines it takes."""

    lines: int
    name: str
    file: str


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of one file; *size* is in bytes."""

    file: str
    size: int
    lines: int
    definitions: int
    encoding: str
    longest: Function | None


@dataclass(frozen=True, slots=True)
class Totals:
    """
    Sums over files, however they were grouped.

    Attributes:
        size: Bytes.
        definitions: Functions and classes, nested ones included.
        encodings: How many files have each encoding.
        biggest: The files with the most lines, at most ten.
        longest: The longest functions, one a file, at most ten.
    """

    files: int = 0
    size: int = 0
    lines: int = 0
    definitions: int = 0
    encodings: dict[str, int] = field(default_factory=dict)
    biggest: list[FileFacts] = field(default_factory=list)
    longest: list[Function] = field(default_factory=list)

    @classmethod
    def of(cls, facts: FileFacts) -> Totals:
        """Return the sums over one file."""
        longest = [] if facts.longest is None else [facts.longest]
        return cls(
            1,
            facts.size,
            facts.lines,
            facts.definitions,
            {facts.encoding: 1},
            [facts],
            longest,
        )


def sum_up(parts: list[Totals]) -> Totals:
    """Return the sums over *parts*; grouping and order make no difference."""
    encodings: Counter[str] = Counter()
    for part in parts:
        encodings.update(part.encodings)
    biggest = sorted(
        (it for part in parts for it in part.biggest),
        key=lambda it: (-it.lines, it.file),
    )
    longest = sorted(
        (it for part in parts for it in part.longest),
        key=lambda it: (-it.lines, it.file, it.name),
    )
    return Totals(
        files=sum(part.files for part in parts),
        size=sum(part.size for part in parts),
        lines=sum(part.lines for part in parts),
        definitions=sum(part.definitions for part in parts),
        encodings=dict(sorted(encodings.items())),
        biggest=biggest[:TOP],
        longest=longest[:TOP],
    )


def survey(path: bytes, file: str) -> FileFacts:
    """
    Read and parse one file of Python source.

    Args:
        path: Where it is; bytes, because a file name need not be text.
        file: What the report calls it.

    Raises:
        OSError: If it cannot be read.
        SyntaxError: If it is no Python, or names an encoding that does not exist.
        ValueError: If it cannot be decoded, or holds null bytes.
    """
    source = Path(os.fsdecode(path)).read_bytes()
    encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in other people's strings
        tree = ast.parse(source, filename=file)
    definitions = list(_definitions(tree))
    functions = [
        Function((it.end_lineno or it.lineno) - it.lineno + 1, it.name, file)
        for it in definitions
        if not isinstance(it, ast.ClassDef)
    ]
    return FileFacts(
        file=file,
        size=len(source),
        lines=source.count(b"\n") + (source[-1:] not in (b"", b"\n")),
        definitions=len(definitions),
        encoding=codecs.lookup(encoding).name.removesuffix("-sig"),
        longest=max(functions, default=None, key=lambda it: (it.lines, it.name)),
    )


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions(tree: ast.AST) -> Iterator[Definition]:
    """Yield every definition; only statements are walked: no expression holds one."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, Definition):
            yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, name, None)
            if isinstance(inner, list):  # the body of a lambda or an IfExp is no list
                pending += inner


@task(
    name="survey.file",
    soft_time_limit=SOFT_LIMIT_S,
    hard_time_limit=HARD_LIMIT_S,
    max_retries=MAX_RETRIES,
    retry_policy=_POLICY,
)
def survey_file(path: bytes, file: str) -> FileFacts:
    """Survey one file; see ``survey``."""
    return survey(path, file)


@task(
    name="survey.file_under_fire",
    soft_time_limit=SOFT_LIMIT_S,
    hard_time_limit=HARD_LIMIT_S,
    max_retries=MAX_RETRIES,
    retry_policy=_POLICY,
    max_crashes=_MANY,
)
def survey_file_under_fire(path: bytes, file: str) -> FileFacts:
    """
    The same while workers are killed from outside.

    There a lost worker says nothing about the file it had, so it is no reason to give
    the file up.
    """
    return survey(path, file)


@task(name="survey.gather", hard_time_limit=HARD_LIMIT_S, max_crashes=_MANY)
def gather(files: list[FileFacts], parts: list[Totals]) -> Totals:
    """Sum up some files, and the sums over others."""
    return sum_up([*map(Totals.of, files), *parts])
