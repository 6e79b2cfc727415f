"""The restart budget: ten deaths a minute are free, then the pause doubles."""

from __future__ import annotations

from stem_actor.actor.supervisor.restart_budget import RestartBudget

SECOND = 10**9


def test_ten_deaths_within_a_minute_cost_no_pause() -> None:
    budget = RestartBudget()

    assert [budget.spend(number * SECOND) for number in range(10)] == [0] * 10


def test_each_death_more_doubles_the_pause_up_to_a_minute() -> None:
    budget = RestartBudget()
    for _ in range(10):
        budget.spend(0)

    pauses = [budget.spend(1) // SECOND for _ in range(8)]

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_minute_without_deaths_gives_the_whole_budget_back() -> None:
    budget = RestartBudget()
    for _ in range(15):
        budget.spend(0)

    assert budget.spend(60 * SECOND) == 0
    assert [budget.spend(61 * SECOND) for _ in range(9)] == [0] * 9
    assert budget.spend(61 * SECOND) == SECOND
