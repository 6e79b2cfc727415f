"""Shields of one start: how deep, until when, and what strikes at the end."""

from __future__ import annotations

import pytest

from stem_actor.actor.worker.shield import Shield, ShieldCount

SECOND = 10**9


class Struck(BaseException):
    """What was held back."""


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The monotonic time, to be set."""
    time_ns = [5 * SECOND]
    monkeypatch.setattr(
        "stem_actor.actor.worker.shield.time.monotonic_ns", lambda: time_ns[0]
    )
    return time_ns


def strike() -> None:
    raise Struck


def test_without_a_shield_nothing_is_held(now: list[int]) -> None:
    assert ShieldCount(strike).holds_ns() == 0


def test_a_shield_holds_for_what_is_left_of_its_time(now: list[int]) -> None:
    count = ShieldCount(strike)

    with Shield(count, 3 * SECOND):
        now[0] += SECOND
        assert count.holds_ns() == 2 * SECOND
        now[0] += 5 * SECOND
        assert count.holds_ns() == 0
    assert count.holds_ns() == 0


@pytest.mark.parametrize(("inner_s", "held_s"), [(1, 1), (60, 3)])
def test_the_earliest_end_counts(now: list[int], inner_s: int, held_s: int) -> None:
    count = ShieldCount(strike)

    with Shield(count, 3 * SECOND), Shield(count, inner_s * SECOND):
        assert count.holds_ns() == held_s * SECOND


def test_an_inner_shield_that_was_left_shortens_the_outer_no_more(
    now: list[int],
) -> None:
    count = ShieldCount(strike)

    with Shield(count, 10 * SECOND):
        with Shield(count, SECOND):
            assert count.holds_ns() == SECOND
        assert count.holds_ns() == 10 * SECOND


def test_shields_may_be_left_in_any_order(now: list[int]) -> None:
    count = ShieldCount(strike)
    long, short = Shield(count, 10 * SECOND), Shield(count, SECOND)
    long.__enter__()
    short.__enter__()

    long.__exit__(None, None, None)

    assert count.holds_ns() == SECOND
    short.__exit__(None, None, None)
    assert count.holds_ns() == 0


def test_a_shield_may_be_entered_again_within_itself(now: list[int]) -> None:
    count = ShieldCount(strike)
    shield = Shield(count, 3 * SECOND)

    with shield:
        now[0] += SECOND
        with shield:
            assert count.holds_ns() == 2 * SECOND
        assert count.holds_ns() == 2 * SECOND

    assert count.holds_ns() == 0


def test_a_shield_after_another_has_its_own_time(now: list[int]) -> None:
    count = ShieldCount(strike)
    with Shield(count, SECOND):
        now[0] += 10 * SECOND

    with Shield(count, 3 * SECOND):
        assert count.holds_ns() == 3 * SECOND


def test_what_was_held_back_strikes_once_as_the_outermost_is_left(
    now: list[int],
) -> None:
    count = ShieldCount(strike)
    steps = []

    def nest() -> None:
        with Shield(count, SECOND):
            with Shield(count, SECOND):
                count.is_pending = True
            steps.append("between")
        steps.append("never")

    with pytest.raises(Struck):
        nest()
    with Shield(count, SECOND):
        steps.append("again")

    assert steps == ["between", "again"]


def test_an_error_in_the_block_is_the_context_of_what_strikes(now: list[int]) -> None:
    count = ShieldCount(strike)

    def fail() -> None:
        with Shield(count, SECOND):
            count.is_pending = True
            raise ValueError("in the block")

    with pytest.raises(Struck) as caught:
        fail()

    assert isinstance(caught.value.__context__, ValueError)


def test_an_error_passes_where_nothing_was_held_back(now: list[int]) -> None:
    with pytest.raises(ValueError, match="alone"), Shield(ShieldCount(strike), SECOND):
        raise ValueError("alone")
