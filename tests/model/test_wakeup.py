"""The bell never loses a wake-up, and rings at most once for each sleep."""

import pytest

from .wakeup import Bell, BellMutant

STATES_FLOOR = 18_000


def test_the_bell_loses_no_wake_up_under_store_buffers() -> None:
    report = Bell().explore()

    print(f"\nbell: {report.states:,} states, {report.steps:,} steps")
    assert report.is_clean, report.trace
    assert report.states >= STATES_FLOOR


@pytest.mark.parametrize(
    "mutant",
    [
        BellMutant.NO_PRODUCER_FENCE,
        BellMutant.NO_SUPERVISOR_FENCE,
        BellMutant.NO_RECHECK,
    ],
)
def test_without_a_fence_or_the_re_check_a_wake_up_is_lost(mutant: BellMutant) -> None:
    report = Bell(mutant=mutant).explore()

    assert report.violation == ""
    assert report.stuck > 0
    _, asleep = report.trace[-1]
    published = tuple(peer.published for peer in asleep.peers)
    assert asleep.eventfd == 0
    assert asleep.seen < published


def test_the_exchange_bounds_writes_by_one_for_each_arming() -> None:
    assert Bell(counts_writes=True).explore().is_clean


def test_without_the_exchange_nothing_is_lost_but_writes_repeat() -> None:
    lossless = Bell(mutant=BellMutant.NO_EXCHANGE).explore()
    counted = Bell(mutant=BellMutant.NO_EXCHANGE, counts_writes=True).explore()

    assert lossless.is_clean
    assert counted.violation == "more eventfd writes than armings of the bell"
