"""Canvas trees: the graph that is followed does what the tree says."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor.policy.course import Course, StepState
from stem_actor.policy.plan import Chain, Chord, Group, Leaf, Tree, assemble, plan_of
from tests.properties.canvas_trees import TREES, Lost, leaves

Value = object


@dataclass
class Told:
    """
    What a tree does by its definition, told by recursion and without any graph.

    Attributes:
        failing: The calls that fail.
        given: What each call that runs is handed.
    """

    failing: frozenset[int]
    given: dict[int, Value] = field(default_factory=dict)

    def value(self, tree: Tree[int], before: Value = None) -> Value:
        """Return its value; raises Lost where it has none."""
        match tree:
            case Leaf(call, takes):
                self.given[call] = before if takes else None
                if call in self.failing:
                    raise Lost
                return ("value", call)
            case Chain(links):
                for link in links:
                    before = self.value(link, before)
                return before
            case Group(members):
                return self.values(members, before)
            case Chord(body, callback):
                return self.value(callback, self.values(body, before))

    def values(self, members: tuple[Tree[int], ...], before: Value) -> list[Value]:
        found, is_lost = [], False
        for member in members:
            try:
                found.append(self.value(member, before))
            except Lost:
                is_lost = True  # the others go on
        if is_lost:
            raise Lost
        return found


@given(TREES, st.data())
def test_any_tree_does_what_its_definition_says_in_any_order_of_ends(
    tree: Tree[int], data: st.DataObject
) -> None:
    calls = list(leaves(tree))
    failing = data.draw(st.frozensets(st.sampled_from(calls))) if calls else frozenset()
    told = Told(failing)
    try:
        value: Value = told.value(tree)
        is_lost = False
    except Lost:
        value, is_lost = None, True

    plan = plan_of(tree)
    course = Course(plan)
    call_of = [step.call for step in plan.steps]
    opened = course.begin().opened
    given_: dict[int, Value] = {}
    while opened:
        number = data.draw(st.sampled_from(opened))
        opened.remove(number)
        step = plan.steps[number]
        join = plan.joins[step.after] if step.after is not None else None
        assert join is None or all(
            course.states[it] is StepState.SUCCEEDED for it in join.awaits
        )
        given_[step.call] = (
            assemble(join.shape, lambda it: ("value", call_of[it]))
            if join is not None and step.takes
            else None
        )
        moves = course.ended(number, is_succeeded=step.call not in failing)
        again = course.ended(number, is_succeeded=data.draw(st.booleans()))
        assert (again.opened, again.dropped, again.is_decided) == ([], [], False)
        opened += moves.opened

    assert given_ == told.given
    assert course.is_over
    assert course.is_decided
    assert course.has_succeeded == (not is_lost)
    if not is_lost:
        result = plan.joins[plan.result].shape
        assert assemble(result, lambda it: ("value", call_of[it])) == value
    states = dict(zip(call_of, course.states, strict=True))
    for call in calls:
        if call not in told.given:
            assert states[call] is StepState.DROPPED
        else:
            ended = StepState.FAILED if call in failing else StepState.SUCCEEDED
            assert states[call] is ended


@given(TREES, st.data())
def test_the_whole_is_decided_once_and_at_the_first_failure(
    tree: Tree[int], data: st.DataObject
) -> None:
    plan = plan_of(tree)
    course = Course(plan)
    first = course.begin()
    opened, decisions, has_failed = first.opened, int(first.is_decided), False
    while opened:
        number = data.draw(st.sampled_from(opened))
        opened.remove(number)
        is_succeeded = data.draw(st.booleans())
        moves = course.ended(number, is_succeeded=is_succeeded)
        decisions += moves.is_decided
        if not is_succeeded and not has_failed:
            assert moves.is_decided
            assert course.culprit == number
            has_failed = True
        opened += moves.opened

    assert decisions == 1
    assert course.has_succeeded == (not has_failed)


@given(TREES, st.data())
def test_after_a_revoke_nothing_opens_and_what_runs_can_end(
    tree: Tree[int], data: st.DataObject
) -> None:
    course = Course(plan_of(tree))
    opened = course.begin().opened
    for _ in range(data.draw(st.integers(0, 6))):
        if opened:
            opened += course.ended(opened.pop(), is_succeeded=True).opened
    dropped = course.abandon().dropped

    for number in opened:
        assert course.ended(number, is_succeeded=True).opened == []

    assert course.is_over
    assert all(course.states[it] is StepState.DROPPED for it in dropped)


def test_steps_that_wait_for_the_same_ones_share_a_join() -> None:
    many = Group(tuple(Leaf(n) for n in range(1000)))

    plan = plan_of(Chain((many, many, Leaf(7))))

    assert len(plan.joins) == 3
    assert sum(len(join.awaits) for join in plan.joins) == 2001


def test_an_empty_group_waits_for_what_came_before_it() -> None:
    plan = plan_of(Chain((Leaf(1), Group(()), Leaf(2))))
    course = Course(plan)

    assert course.begin().opened == [0]
    assert course.ended(0, is_succeeded=True).opened == [1]
    assert plan.joins[1].shape == ()


def test_an_empty_whole_is_decided_at_once() -> None:
    nothing: Tree[int] = Group(())
    course = Course(plan_of(nothing))

    assert course.begin().is_decided
    assert course.is_over


def test_an_empty_chain_is_refused() -> None:
    chain: Tree[int] = Group((Chain(()),))

    with pytest.raises(ValueError, match="at least one step"):
        plan_of(chain)


def test_the_end_of_a_step_that_never_opened_is_refused() -> None:
    course = Course(plan_of(Chain((Leaf(1), Leaf(2)))))
    course.begin()

    with pytest.raises(ValueError, match="never opened"):
        course.ended(1, is_succeeded=True)
