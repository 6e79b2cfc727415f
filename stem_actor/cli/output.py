"""Output: what a command tells, as a table, as plain text or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Output", "printable"]

Row = Sequence[object]


class Output:
    """
    Writes to stdout: coloured tables for a terminal, aligned plain text otherwise.

    Attributes:
        as_json: Whether the command was asked for JSON: then only ``json`` writes.
        is_terminal: Whether a person is watching.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True)
        self.is_terminal = self.console.is_terminal and not as_json

    def json(self, facts: object) -> None:
        """Write *facts* as one line of JSON; bytes become hexadecimal text."""
        text = json.dumps(facts, default=_plain, ensure_ascii=True)
        sys.stdout.write(text + "\n")

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """Write one line, in *style* if that can be seen."""
        if self.is_terminal:
            self.console.print(Text(text, style=style or ""))
        else:
            sys.stdout.write(text + "\n")

    def flush(self) -> None:
        """Let the reader see what was written so far."""
        sys.stdout.flush()

    def facts(self, facts: Mapping[str, object]) -> None:
        """Write names and values in two columns."""
        width = max(map(len, facts), default=0)
        for name, value in facts.items():
            self.line(f"{name:<{width}}  {printable(value)}")

    def table(
        self, columns: Sequence[str], rows: Iterable[Row], *, title: str | None = None
    ) -> None:
        """Write *rows* below *columns*; numbers are aligned to the right."""
        table = [[printable(value) for value in row] for row in rows]
        numeric = _numeric(len(columns), table)
        if self.is_terminal:
            self.console.print(rich_table(columns, table, numeric, title))
            return
        if title is not None:
            self.line(title)
        widths = [max(map(len, column)) for column in zip(columns, *table, strict=True)]
        for row in [list(columns), *table]:
            cells = [
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, numeric, strict=True)
            ]
            self.line("  ".join(cells).rstrip())


def rich_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    title: str | None,
) -> Table:
    """Return the table a terminal is shown; *numeric* columns stand to the right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def printable(value: object) -> str:
    """Return *value* as one line of text that no terminal takes for a command."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if value is None:
        return "-"
    text = " ".join(str(value).split())
    return "".join(it if it.isprintable() else ascii(it)[1:-1] for it in text)


def _numeric(count: int, table: Sequence[Sequence[str]]) -> list[bool]:
    return [
        bool(table)
        and all(row[at][:1].isdigit() or row[at] == "-" for row in table)
        and all(_is_number(row[at]) for row in table)
        for at in range(count)
    ]


def _is_number(text: str) -> bool:
    return text == "-" or text.translate(_NUMBER_MARKS).isdigit()


_NUMBER_MARKS = str.maketrans("", "", ",.")


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"a {type(value).__name__} has no JSON form")
