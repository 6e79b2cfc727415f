"""The public surface: what ``stem_actor`` names is there, in order and documented."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import stem_actor

EXPORTS: tuple[str, ...] = tuple(getattr(stem_actor, "__all__", ()))


def listing_order(name: str) -> tuple[int, str]:
    """Return the sort key of a name: constants, then classes, then the rest."""
    if name.isupper():
        return (0, name)
    return (1, name) if name[0].isupper() else (2, name)


def test_every_exported_name_exists() -> None:
    assert [name for name in EXPORTS if not hasattr(stem_actor, name)] == []


def test_exports_are_sorted_and_unique() -> None:
    assert list(EXPORTS) == sorted(set(EXPORTS), key=listing_order)


def test_no_private_name_is_exported() -> None:
    allowed = {"__version__"}

    assert [n for n in EXPORTS if n.startswith("_") and n not in allowed] == []


def test_no_module_is_exported() -> None:
    assert [n for n in EXPORTS if inspect.ismodule(getattr(stem_actor, n))] == []


def test_every_exported_class_and_function_says_what_it_is() -> None:
    objects = {name: getattr(stem_actor, name) for name in EXPORTS}
    definitions = {
        name: thing
        for name, thing in objects.items()
        if inspect.isclass(thing) or inspect.isroutine(thing)
    }

    assert [n for n, thing in definitions.items() if not thing.__doc__] == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(stem_actor.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    "names",
    [["Zebra", "Apple"], ["apple", "Apple"], ["Apple", "UNSET"], ["group", "chain"]],
)
def test_the_listing_order_notices_a_swap(names: list[str]) -> None:
    assert names != sorted(names, key=listing_order)
