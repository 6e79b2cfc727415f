"""What is refused where a task is defined, and the words for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp
from stem_actor.errors import SettingsError
from stem_actor.ring.directory import set_aside


@dataclasses.dataclass
class Anything:
    value: object
    other: Any = None


def test_what_is_no_function_is_refused_by_file_and_line() -> None:
    with pytest.raises(SettingsError) as caught:
        StemApp().task(3)  # type: ignore[call-overload]

    line = _line_of("StemApp().task(3)")
    assert str(caught.value).startswith(f"{__file__}:{line}: task ")
    assert str(caught.value).endswith(".int: 3 is no function")


def test_a_method_is_refused_with_what_to_write() -> None:
    app = StemApp()

    with pytest.raises(SettingsError, match=r"a method is no handler: .*@staticmethod"):

        class Shop:
            @app.task
            def pack(self, order: int) -> int:
                return order


def test_a_static_method_and_a_function_with_self_are_handlers() -> None:
    app = StemApp()

    class Shop:
        @app.task
        @staticmethod
        def pack(order: int) -> int:
            return order

    @app.task
    def compare(self: int, other: int) -> bool:
        return self == other

    assert Shop.pack(3) == 3
    assert compare(1, 1)


def test_any_value_may_stand_inside_a_dataclass() -> None:
    app = StemApp()

    @app.task
    def take(it: Anything) -> Anything:
        return it

    assert take(Anything([1])) == Anything([1])


def test_a_long_queue_name_is_cut_in_its_error() -> None:
    with pytest.raises(SettingsError) as caught:
        StemApp().task(queue="q" * 500)(len)

    assert "queue must be at most 128 bytes, not 'qqq" in str(caught.value)
    assert "q" * 81 not in str(caught.value)


def test_three_spoilt_rings_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"w-{number}.ring"
        path.write_text(str(number))
        set_aside(path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "w-2.bad",
        "w-3.bad",
        "w-4.bad",
    ]


def _line_of(text: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(at for at, line in enumerate(lines, 1) if text in line)
