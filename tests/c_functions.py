"""Function bodies in C source, found by matching braces: what the tidy test counts."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What may hold a brace that opens nothing. Directives go with their continued lines.
OPAQUE = re.compile(
    r"/\*.*?(?:\*/|\Z)"
    r"|//[^\n]*"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'"
    r"|^[ \t]*#(?:\\\n|/\*.*?\*/|[^\n])*",
    re.DOTALL | re.MULTILINE,
)
CALLED = re.compile(r"(\w+)\s*\(")


class UnbalancedBraces(ValueError):
    """Raised when the braces of a source text do not match, so nothing can be told."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its name, the 1-based line it begins on, and its number of lines."""

    name: str
    line: int
    length: int


def c_functions(text: str) -> list[Function]:
    """
    Return the functions defined in *text*, from the return type to the last brace.

    Raises:
        UnbalancedBraces: If a brace is left open or closes nothing.
    """
    code = OPAQUE.sub(_blank, text)
    found = []
    depth = 0
    head = opened = 0  # where the text since the last definition, and the body, begin
    for match in re.finditer(r"[{};]", code):
        brace, at = match[0], match.start()
        if brace == "{":
            opened = at if depth == 0 else opened
            depth += 1
        elif brace == "}":
            depth -= 1
            if depth < 0:
                line = code.count("\n", 0, at) + 1
                raise UnbalancedBraces(f"line {line}: this brace closes nothing")
            if depth == 0:
                found += _function(code, head, opened, at)
        if depth == 0:
            head = at + 1
    if depth:
        raise UnbalancedBraces(f"{depth} left open at the end")
    return found


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _function(code: str, head: int, opened: int, closed: int) -> list[Function]:
    declaration = code[head:opened]
    name = CALLED.search(declaration)
    if name is None or "=" in declaration or not declaration.rstrip().endswith(")"):
        return []  # a struct, an enum or an initialiser
    begin = head + len(declaration) - len(declaration.lstrip())
    line = code.count("\n", 0, begin) + 1
    return [Function(name[1], line, code.count("\n", begin, closed) + 1)]
