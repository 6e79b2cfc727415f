"""Exhaustive search of a finite state graph: safety, and "the work can still end"."""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

StateT = TypeVar("StateT", bound=Hashable)
Successors = Callable[[StateT], Iterable[tuple[str, StateT]]]


class ViolationError(Exception):
    """A step broke a safety rule; the message names the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Generic[StateT]):
    """
    What a search found.

    Attributes:
        states: Distinct states seen; all of them unless *violation* is set.
        finished: States in which the work is done.
        stuck: States from which no path without a fault reaches a finished one.
        violation: The safety rule that broke first, or ``""``.
        labels: How often each step was taken, by label.
        trace: Shortest path to the violation, else to a stuck state, else empty;
            pairs of the step's label and the state it led to.
    """

    states: int
    finished: int
    stuck: int
    violation: str
    labels: Mapping[str, int]
    trace: tuple[tuple[str, StateT], ...]

    @property
    def steps(self) -> int:
        """Transitions taken, those into known states included."""
        return sum(self.labels.values())

    @property
    def is_clean(self) -> bool:
        """Whether no rule broke and the work can end from every state."""
        return not self.violation and not self.stuck and self.finished > 0


class _Graph(Generic[StateT]):
    """States in breadth-first order, with the edges that backward search needs."""

    def __init__(self, initial: StateT, successors: Successors[StateT]) -> None:
        self.states = [initial]
        self.labels: Counter[str] = Counter()
        self.broken = 0
        self._successors = successors
        self._index = {initial: 0}
        self._parents = array("i", [-1])
        self._sources = array("i")
        self._targets = array("i")

    def fill(self, *, faults: Collection[str], limit: int) -> str:
        """
        Visit every state, and return the broken rule or ``""``.

        A violation is left as the last state's: :meth:`path` of ``self.broken`` is
        the way to the state whose next step breaks the rule.
        """
        states, index = self.states, self._index
        for source, state in enumerate(states):  # the list grows while we walk it
            self.broken = source
            try:
                for label, target_state in self._successors(state):
                    self.labels[label] += 1
                    target = index.setdefault(target_state, len(states))
                    if target == len(states):
                        states.append(target_state)
                        self._parents.append(source)
                    if label not in faults:
                        self._sources.append(source)
                        self._targets.append(target)
            except ViolationError as error:
                return str(error)
            if len(states) > limit:
                raise MemoryError(f"more than {limit} states: use a smaller model")
        return ""

    def reaching(self, goals: Iterable[int]) -> bytearray:
        """Return one byte per state: 1 where a fault-free path leads to a goal."""
        counts = array("i", bytes(4 * len(self.states)))
        for target in self._targets:
            counts[target] += 1
        ends = array("i", accumulate(counts))
        fill = array("i", ends)
        sources = array("i", bytes(4 * len(self._sources)))
        for source, target in zip(self._sources, self._targets, strict=True):
            fill[target] -= 1
            sources[fill[target]] = source
        reached = bytearray(len(self.states))
        pending = list(goals)
        for goal in pending:
            reached[goal] = 1
        while pending:
            state = pending.pop()
            for source in sources[fill[state] : ends[state]]:
                if not reached[source]:
                    reached[source] = 1
                    pending.append(source)
        return reached

    def path(self, index: int) -> tuple[tuple[str, StateT], ...]:
        """Return a shortest path to state *index* as (label, state) pairs."""
        steps = []
        while (parent := self._parents[index]) >= 0:
            state = self.states[index]
            # Labels are found again instead of kept: a trace is rare, states are not.
            for label, target in self._successors(self.states[parent]):
                if target == state:
                    steps.append((label, state))
                    break
            index = parent
        return tuple(reversed(steps))


def explore(
    initial: StateT,
    successors: Successors[StateT],
    *,
    is_finished: Callable[[StateT], bool],
    faults: Collection[str] = (),
    limit: int = 4_000_000,
) -> Report[StateT]:
    """
    Visit every state reachable from *initial*, breadth first.

    Args:
        initial: The first state.
        successors: Yields ``(label, next state)`` for each enabled step and raises
            :class:`ViolationError` for a step that breaks a rule. Must be pure.
        is_finished: Whether all work is done in a state.
        faults: Labels that are explored, but that progress may not count on.
        limit: Most states to keep.

    Returns:
        The report; the search stops at the first violation.

    Raises:
        MemoryError: If there are more than *limit* states.
    """
    graph = _Graph(initial, successors)
    violation = graph.fill(faults=faults, limit=limit)
    finished = [i for i, state in enumerate(graph.states) if is_finished(state)]
    stuck = 0
    trace: tuple[tuple[str, StateT], ...] = ()
    if violation:
        trace = graph.path(graph.broken)
    else:
        reached = graph.reaching(finished)
        stuck = reached.count(0)
        if stuck:
            trace = graph.path(reached.index(0))
    return Report(
        states=len(graph.states),
        finished=len(finished),
        stuck=stuck,
        violation=violation,
        labels=graph.labels,
        trace=trace,
    )
