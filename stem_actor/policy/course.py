"""Course: how far a plan has come, and what follows from each end of a step. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stem_actor.policy.plan import Plan

__all__ = ["Course", "Moves", "StepState"]


class StepState(StrEnum):
    """
    Where a step stands.

    BLOCKED, it waits for others; OPEN, it may run, runs, or is being retried;
    SUCCEEDED; FAILED, for good, cancelled and expired ones included; DROPPED, it will
    never run, for what it waited for has not succeeded.
    """

    BLOCKED = "blocked"
    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(slots=True)
class Moves:
    """
    What follows from one event.

    Attributes:
        opened: Steps that may run now, ascending.
        dropped: Steps that never will, ascending.
        is_decided: Whether the whole has just succeeded or failed.
    """

    opened: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    is_decided: bool = False


class Course:
    """
    The state of a plan: every end of a step is told once or more often, in any order.

    A failure fails the whole at once, and drops what had waited for that step;
    whatever does not depend on it goes on. So the end of the whole may come before
    the end of its last step, see ``is_over``.

    Attributes:
        plan: What is followed.
        states: The state of each step.
        culprit: The first step that has failed; None: none has.
        has_succeeded: Whether the whole has.
    """

    def __init__(self, plan: Plan[Any]) -> None:
        self.plan = plan
        self.states = [StepState.BLOCKED] * len(plan.steps)
        self.culprit: int | None = None
        self.has_succeeded = False
        self._is_dead = [False] * len(plan.joins)
        self._missing = [len(join.awaits) for join in plan.joins]
        self._feeds: list[list[int]] = [[] for _ in plan.steps]
        self._after: list[list[int]] = [[] for _ in plan.joins]
        for number, join in enumerate(plan.joins):
            for step in join.awaits:
                self._feeds[step].append(number)
        for number, step_ in enumerate(plan.steps):
            if step_.after is not None:
                self._after[step_.after].append(number)
        self._unsettled = len(plan.steps)

    @property
    def is_decided(self) -> bool:
        """Whether the whole has succeeded or failed."""
        return self.has_succeeded or self.culprit is not None

    @property
    def is_over(self) -> bool:
        """Whether no step will ever run any more."""
        return self._unsettled == 0

    def begin(self) -> Moves:
        """Return the first moves; to be called once, before any other."""
        moves = Moves()
        for number, step in enumerate(self.plan.steps):
            if step.after is None:
                self._open(number, moves)
        for number, missing in enumerate(self._missing):
            if missing == 0:
                self._complete(number, moves)
        moves.opened.sort()
        return moves

    def ended(self, number: int, *, is_succeeded: bool) -> Moves:
        """
        Take the end of step *number*; what has been told before changes nothing.

        Raises:
            ValueError: If the step could not have run: it was still blocked.
        """
        moves = Moves()
        state = self.states[number]
        if state is StepState.BLOCKED:
            raise ValueError(f"step {number} has ended and was never opened")
        if state is not StepState.OPEN:
            return moves
        self._unsettled -= 1
        if is_succeeded:
            self.states[number] = StepState.SUCCEEDED
            for join in self._feeds[number]:
                self._missing[join] -= 1
                if self._missing[join] == 0:
                    self._complete(join, moves)
        else:
            self.states[number] = StepState.FAILED
            moves.is_decided = not self.is_decided
            self.culprit = number if self.culprit is None else self.culprit
            self._drop_behind([number], moves)
        moves.opened.sort()
        moves.dropped.sort()
        return moves

    def abandon(self) -> Moves:
        """Drop every step that is still blocked: the whole was revoked."""
        moves = Moves()
        blocked = [n for n, it in enumerate(self.states) if it is StepState.BLOCKED]
        for number in blocked:
            self._drop(number, moves)
        return moves

    # --- inside

    def _open(self, number: int, moves: Moves) -> None:
        self.states[number] = StepState.OPEN
        moves.opened.append(number)

    def _complete(self, join: int, moves: Moves) -> None:
        if join == self.plan.result:
            self.has_succeeded = moves.is_decided = True
        for number in self._after[join]:
            # An abandoned one stays dropped, whoever succeeds behind its back.
            if self.states[number] is StepState.BLOCKED:
                self._open(number, moves)

    def _drop(self, number: int, moves: Moves) -> None:
        self.states[number] = StepState.DROPPED
        self._unsettled -= 1
        moves.dropped.append(number)

    def _drop_behind(self, lost: Sequence[int], moves: Moves) -> None:
        waiting = list(lost)
        while waiting:
            for join in self._feeds[waiting.pop()]:
                if self._is_dead[join]:
                    continue
                self._is_dead[join] = True
                for number in self._after[join]:
                    if self.states[number] is StepState.BLOCKED:
                        self._drop(number, moves)
                        waiting.append(number)
