"""What commands write: aligned text, and nothing that a terminal would obey."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from stem_actor.cli.output import Output, printable


def test_plain_tables_are_aligned_and_numbers_stand_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().table(("task", "runs"), [("a", 1), ("long name", 12345)], title="All")

    assert capsys.readouterr().out == (
        "All\ntask         runs\na               1\nlong name  12,345\n"
    )


def test_an_empty_table_still_has_its_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().table(("task", "runs"), [])

    assert capsys.readouterr().out == "task  runs\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        ("two\nlines", "two lines"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("caf\xe9 \u202e", "caf\xe9 \\u202e"),
        ("\udcff.py", "\\udcff.py"),
    ],
)
def test_a_value_is_one_line_without_control_characters(
    value: object, text: str
) -> None:
    assert printable(value) == text


def test_a_terminal_is_shown_no_markup_of_the_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    output = Output()
    output.console = Console(file=screen, force_terminal=True, width=60)
    monkeypatch.setattr(output, "is_terminal", True)

    output.line("[bold]x[/bold]")
    output.table(("name",), [("[red]y[/red]",)])

    assert "[bold]x[/bold]" in screen.getvalue()
    assert "[red]y[/red]" in screen.getvalue()


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).json({"id": b"\x01\xff", "name": "\udcff\n"})

    out = capsys.readouterr().out
    assert json.loads(out) == {"id": "01ff", "name": "\udcff\n"}
    assert (out.count("\n"), out.isascii()) == (1, True)
