"""Plan: the steps of a canvas tree, and what each of them waits for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = [
    "Chain",
    "Chord",
    "Group",
    "Join",
    "Leaf",
    "Plan",
    "Shape",
    "Step",
    "Tree",
    "assemble",
    "plan_of",
]

C = TypeVar("C")
T = TypeVar("T")

Shape = int | tuple["Shape", ...]
"""Where a value comes from: the result of a step, by its number, or a list of such."""


@dataclass(frozen=True, slots=True)
class Leaf(Generic[C]):
    """
    One task.

    Attributes:
        call: What is to be enqueued.
        takes: Whether it is handed the value of what comes before it.
    """

    call: C
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Chain(Generic[C]):
    """One after the other; its value is that of the last. Never empty."""

    links: tuple[Tree[C], ...]


@dataclass(frozen=True, slots=True)
class Group(Generic[C]):
    """All at once; its value is the list of theirs, in this order."""

    members: tuple[Tree[C], ...]


@dataclass(frozen=True, slots=True)
class Chord(Generic[C]):
    """A body like a group's, and then a callback that is handed the list."""

    body: tuple[Tree[C], ...]
    callback: Tree[C]


Tree = Leaf[C] | Chain[C] | Group[C] | Chord[C]


@dataclass(frozen=True, slots=True)
class Join:
    """
    A point at which steps meet.

    Attributes:
        awaits: The steps that must have succeeded, ascending.
        shape: The value that is handed on then.
    """

    awaits: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Step(Generic[C]):
    """
    One task of a plan.

    Attributes:
        call: What is to be enqueued.
        after: Number of the join that it waits for; None: of none.
        takes: Whether it is handed that join's value.
        path: Which part of which part of the tree it is, from the root.
    """

    call: C
    after: int | None
    takes: bool
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan(Generic[C]):
    """
    A canvas tree as a graph without circles.

    Steps that wait for the same others share a join, so that a thousand steps after
    a thousand others cost two thousand edges and not a million.

    Attributes:
        steps: In an order in which each comes after those it waits for.
        joins: Likewise; the last one is that of the whole.
    """

    steps: tuple[Step[C], ...]
    joins: tuple[Join, ...]

    @property
    def result(self) -> int:
        """Number of the join that ends the whole."""
        return len(self.joins) - 1


def plan_of(tree: Tree[C]) -> Plan[C]:
    """
    Return the plan of *tree*.

    Raises:
        ValueError: If a chain in it is empty: it has no value.
    """
    planner: _Planner[C] = _Planner()
    shape, awaits = planner.add(tree, None, ())
    planner.join(shape, awaits)
    return Plan(tuple(planner.steps), tuple(planner.joins))


def assemble(shape: Shape, value_of: Callable[[int], T]) -> object:
    """Return the value of *shape*; *value_of* tells the result of a step."""
    if isinstance(shape, int):
        return value_of(shape)
    return [assemble(part, value_of) for part in shape]


class _Planner(Generic[C]):
    """Walks a tree once, handing each part what comes before it."""

    def __init__(self) -> None:
        self.steps: list[Step[C]] = []
        self.joins: list[Join] = []

    def join(self, shape: Shape, awaits: Sequence[int]) -> int:
        self.joins.append(Join(tuple(sorted(set(awaits))), shape))
        return len(self.joins) - 1

    def add(
        self, tree: Tree[C], after: int | None, path: tuple[int, ...]
    ) -> tuple[Shape, tuple[int, ...]]:
        """Add *tree* behind the join *after*; returns its value and what ends it."""
        match tree:
            case Leaf(call, takes):
                self.steps.append(Step(call, after, takes and after is not None, path))
                number = len(self.steps) - 1
                return number, (number,)
            case Chain(links):
                return self._add_chain(links, after, path)
            case Group(members):
                return self._add_members(members, after, path)
            case Chord(body, callback):
                shape, awaits = self._add_members(body, after, path)
                join = self.join(shape, awaits)
                return self.add(callback, join, (*path, len(body)))

    def _add_chain(
        self, links: tuple[Tree[C], ...], after: int | None, path: tuple[int, ...]
    ) -> tuple[Shape, tuple[int, ...]]:
        if not links:
            raise ValueError("a chain needs at least one step")
        for number, link in enumerate(links[:-1]):
            shape, awaits = self.add(link, after, (*path, number))
            after = self.join(shape, awaits)
        return self.add(links[-1], after, (*path, len(links) - 1))

    def _add_members(
        self, members: tuple[Tree[C], ...], after: int | None, path: tuple[int, ...]
    ) -> tuple[Shape, tuple[int, ...]]:
        shapes: list[Shape] = []
        awaited: list[int] = []
        for number, member in enumerate(members):
            shape, awaits = self.add(member, after, (*path, number))
            shapes.append(shape)
            awaited += awaits
        # Where nothing of it runs, what came before must have succeeded all the same.
        if not awaited and after is not None:
            awaited += self.joins[after].awaits
        return tuple(shapes), tuple(awaited)
