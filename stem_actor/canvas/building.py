"""group, chain, chord: parts of a canvas tree made of parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, overload

from stem_actor.policy.plan import Chain, Chord, Group, Tree
from stem_actor.tasks.signature import (
    AsStep,
    AsyncStep,
    CallStep,
    Immutable,
    Part,
    Partial,
    Signature,
    Step,
    SyncStep,
    tree_of,
)

__all__ = ["chain", "chord", "group"]

S = TypeVar("S")
T = TypeVar("T")


@overload
def group(members: Iterable[Immutable[S]], /) -> Immutable[list[S]]: ...
@overload
def group(members: Iterable[Signature[S]], /) -> Signature[list[S]]: ...
@overload
def group(members: Iterable[Partial[S] | AsStep[S]], /) -> Partial[list[S]]: ...
def group(members: Iterable[Any], /) -> Part[Any]:
    """
    Return the part that runs *members* at once; its value is the list of theirs.

    Behind another part each member is handed that one's value, unless it is
    immutable. Without a member the value is the empty list.

    Raises:
        TypeError: If some members have their first argument and others lack it.
    """
    parts = [_part_of(member) for member in members]
    return _kind_of(parts)(Group(tuple(part.tree for part in parts)))


def chain(parts: Iterable[Part[Any] | Step[Any]], /) -> Signature[Any]:
    """
    Return the part that runs *parts* one after the other; its value is the last one's.

    ``a.s(1) | b | c`` is the same, with types.

    Raises:
        ValueError: If there is none.
        TypeError: If the first lacks an argument, or a later one lacks none.
    """
    given: list[Any] = list(parts)
    if not given:
        raise ValueError("a chain needs at least one step")
    first, *rest = given
    if not isinstance(first, Signature):
        raise TypeError(
            f"the first step, {first!r}, lacks its arguments; write .s(...)"
        )
    trees: list[Tree[CallStep]] = [first.tree, *map(tree_of, rest)]
    return type(first)(Chain(tuple(trees)))


@overload
def chord(
    body: Iterable[Signature[S]], callback: AsyncStep[list[S], T], /
) -> Signature[T]: ...
@overload
def chord(
    body: Iterable[Signature[S]], callback: SyncStep[list[S], T], /
) -> Signature[T]: ...
@overload
def chord(
    body: Iterable[Signature[S]], callback: Partial[T] | Immutable[T], /
) -> Signature[T]: ...
@overload
def chord(
    body: Iterable[Partial[S] | AsStep[S]], callback: AsyncStep[list[S], T], /
) -> Partial[T]: ...
@overload
def chord(
    body: Iterable[Partial[S] | AsStep[S]], callback: SyncStep[list[S], T], /
) -> Partial[T]: ...
@overload
def chord(
    body: Iterable[Partial[S] | AsStep[S]], callback: Partial[T] | Immutable[T], /
) -> Partial[T]: ...
def chord(body: Iterable[Any], callback: Any, /) -> Part[Any]:
    """
    Return the part that runs *body* at once and then *callback*, with the list of
    their values as its first argument, in the order of the body.

    Raises:
        TypeError: If some of the body have their first argument and others lack it,
            or the callback has it.
    """
    parts = [_part_of(member) for member in body]
    members = tuple(part.tree for part in parts)
    return _kind_of(parts)(Chord(members, tree_of(callback)))


def _part_of(member: Any) -> Part[Any]:
    return member if isinstance(member, Part) else Partial(tree_of(member))


def _kind_of(parts: list[Part[Any]]) -> type[Part[Any]]:
    """Return what a part made of *parts* is."""
    if all(isinstance(part, Immutable) for part in parts):
        return Immutable
    full = [part for part in parts if type(part) is Signature]
    if not full:
        return Partial
    lacking = [part for part in parts if isinstance(part, Partial)]
    if lacking:
        raise TypeError(
            f"{full[0]!r} has its first argument and {lacking[0]!r} lacks it: they "
            "cannot stand side by side; write .partial(...) or .s(...) of both"
        )
    return Signature
