"""Signatures: what may stand behind what, and the tree that comes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from stem_actor import StemApp, chain, chord, group
from stem_actor.errors import PayloadError
from stem_actor.policy.plan import Chain, Chord, Group, Leaf, Tree
from stem_actor.tasks.signature import CallStep, Immutable, Part, Partial, Signature

app = StemApp(workers=1)


@dataclass
class Order:
    number: int


@app.task(name="add")
def add(a: int, b: int = 2) -> int:
    return a + b


@app.task(name="total")
async def total(values: list[int]) -> int:
    return sum(values)


@app.task(name="nothing")
def nothing() -> None: ...


@app.task(name="pack")
def pack(order: Order) -> str:
    return str(order.number)


@app.task(name="note")
def note(a: int, when: datetime, **more: int) -> None: ...


def leaf(tree: Tree[CallStep]) -> tuple[str, dict[str, Any], str | None]:
    assert isinstance(tree, Leaf)
    assert tree.takes == (tree.call.into is not None)
    return tree.call.call.name, dict(tree.call.call.args), tree.call.into


def test_a_full_part_holds_every_argument_and_is_handed_none() -> None:
    assert leaf(add.s(1, b=3).tree) == ("add", {"a": 1, "b": 3}, None)
    assert leaf(add.si(1).tree) == ("add", {"a": 1}, None)


def test_a_partial_one_lacks_its_first_argument_alone() -> None:
    assert leaf(add.partial().tree) == ("add", {}, "a")
    assert leaf(add.partial(5).tree) == ("add", {"b": 5}, "a")
    assert leaf(add.partial(b=5).tree) == ("add", {"b": 5}, "a")


def test_the_value_for_a_record_is_the_whole_map() -> None:
    assert leaf(pack.partial().tree) == ("pack", {}, "")


def test_arguments_of_a_partial_are_lowered_like_those_of_any_call() -> None:
    when = datetime(2026, 1, 2)

    _, args, into = leaf(note.partial(when, x=1).tree)

    assert args == {"when": "2026-01-02T00:00:00", "x": 1}
    assert into == "a"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: add.partial(1, 2), "too many positional arguments"),
        (lambda: add.partial(a=1), "multiple values for argument 'a'"),
        (lambda: add.partial(c=1), "unexpected keyword argument 'c'"),
        (lambda: nothing.partial(), "takes no value; write .si()"),
        (lambda: note.partial(), "missing a required argument: 'when'"),
    ],
)
def test_a_partial_that_no_value_completes_is_refused(
    make: Callable[[], object], text: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(text)):
        make()


def test_what_has_no_wire_form_is_refused_with_its_path() -> None:
    with pytest.raises(PayloadError, match=r"args\.b"):
        add.partial(b=object())


def test_a_bar_makes_one_flat_chain() -> None:
    part = add.s(1) | add | add.partial(3) | nothing.si()

    assert isinstance(part.tree, Chain)
    assert [leaf(it) for it in part.tree.links] == [
        ("add", {"a": 1}, None), ("add", {}, "a"), ("add", {"b": 3}, "a"),
        ("nothing", {}, None),
    ]  # fmt: skip


def test_chain_is_the_same_as_bars() -> None:
    assert (
        chain([add.s(1), add, nothing.si()]).tree
        == (add.s(1) | add | nothing.si()).tree
    )


def test_options_of_a_bound_task_travel_with_its_parts() -> None:
    bound = add.with_options(priority=7)

    for part in (bound.s(1), bound.si(1), bound.partial()):
        assert isinstance(part.tree, Leaf)
        options = part.tree.call.call.enqueue_options
        assert options is not None
        assert options.priority == 7


def test_groups_and_chords_nest() -> None:
    part = chord([group([add.s(1), add.s(2)]) | total, add.s(3)], total)

    assert isinstance(part, Signature)
    match part.tree:
        case Chord((Chain((Group(members), second)), third), callback):
            assert len(members) == 2
            assert leaf(second) == leaf(callback) == ("total", {}, "values")
            assert leaf(third) == ("add", {"a": 3}, None)
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (group([add.si(1), nothing.si()]), Immutable),
        (group([add.s(1), add.si(1)]), Signature),
        (group([add, add.partial(2)]), Partial),
        (group([add, nothing.si()]), Partial),  # type: ignore[list-item]
        (chord([add, add], total), Partial),
        (chord([add.si(1)], total), Immutable),
        (add.partial() | add, Partial),
        (add.si(1) | add, Immutable),
    ],
)
def test_a_part_is_handed_a_value_if_one_of_its_first_ones_is(
    part: Part[Any], kind: type[Part[Any]]
) -> None:
    assert type(part) is kind


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: add.s(1) | add.s(2), "has its first argument already"),
        (lambda: add.s(1) | group([add.s(2)]), "has its first argument already"),
        (lambda: add.s(1) | 7, "7 is no part of a canvas"),
        (lambda: group([add.s(1), add]), "cannot stand side by side"),
        (lambda: chord([add.s(1)], total.s([])), "has its first argument already"),
        (lambda: chain([add, add]), "the first step, .*, lacks its arguments"),
    ],
)
def test_a_part_in_the_wrong_place_is_refused_with_the_remedy(
    make: Callable[[], object], text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        make()


def test_an_empty_chain_is_refused_and_an_empty_group_is_not() -> None:
    assert group([]).tree == Group(())
    with pytest.raises(ValueError, match="at least one step"):
        chain([])
