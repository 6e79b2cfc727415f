"""Random canvas trees."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from stem_actor.policy.plan import Chain, Chord, Group, Leaf, Tree

__all__ = ["TREES", "Lost", "leaves"]


class Lost(Exception):
    """The part of a tree has no value."""


def leaves(tree: Tree[int]) -> Iterator[int]:
    match tree:
        case Leaf(call, _):
            yield call
        case Chain(links):
            parts = links
        case Group(members):
            parts = members
        case Chord(body, callback):
            parts = (*body, callback)
    if not isinstance(tree, Leaf):
        for part in parts:
            yield from leaves(part)


def numbered(tree: Tree[int]) -> Tree[int]:
    """Return *tree* with a number of its own for each call."""
    count = iter(range(10**6))

    def number(part: Tree[int]) -> Tree[int]:
        match part:
            case Leaf(_, takes):
                return Leaf(next(count), takes)
            case Chain(links):
                return Chain(tuple(map(number, links)))
            case Group(members):
                return Group(tuple(map(number, members)))
            case Chord(body, callback):
                return Chord(tuple(map(number, body)), number(callback))

    return number(tree)


def wider(parts: st.SearchStrategy[Tree[int]]) -> st.SearchStrategy[Tree[int]]:
    some = st.lists(parts, max_size=4).map(tuple)
    return st.one_of(
        st.lists(parts, min_size=1, max_size=4).map(tuple).map(Chain),
        some.map(Group),
        st.builds(Chord, some, parts),
    )


TREES: st.SearchStrategy[Tree[int]] = st.recursive(
    st.builds(Leaf, st.just(0), st.booleans()), wider, max_leaves=14
).map(numbered)
