"""The default retry strategy: bounds, saturation, repeatable schedules."""

from __future__ import annotations

import pytest

from stem_actor.policy.strategy import (
    ExponentialJitterRetryStrategy,
    FixedDelay,
    RetryStrategy,
)

SECOND = 10**9


@pytest.mark.parametrize(
    ("attempt", "cap_s"), [(0, 2), (1, 4), (7, 256), (8, 300), (1000, 300)]
)
def test_the_delay_doubles_up_to_the_bound(attempt: int, cap_s: int) -> None:
    cap = cap_s * SECOND

    delay = ExponentialJitterRetryStrategy().delay_ns(b"id", attempt)

    assert cap - cap // 4 <= delay <= cap


def test_attempt_a_million_overflows_nothing() -> None:
    strategy = ExponentialJitterRetryStrategy(base=1e-9, max=300)

    assert 225 * SECOND <= strategy.delay_ns(b"id", 10**6) <= 300 * SECOND


def test_a_base_of_zero_stays_zero() -> None:
    assert ExponentialJitterRetryStrategy(base=0).delay_ns(b"id", 10**6) == 0


def test_the_schedule_is_fixed_across_releases() -> None:
    strategy = ExponentialJitterRetryStrategy(seed=7)

    found = [strategy.delay_ns(bytes(16), attempt) for attempt in range(3)]

    assert found == [1_534_276_588, 3_972_585_027, 6_613_993_139]


def test_tasks_attempts_and_seeds_spread() -> None:
    seeds = (None, 0, 1, -1)
    delays = {
        ExponentialJitterRetryStrategy(base=300, seed=seed).delay_ns(task, attempt)
        for seed in seeds
        for task in (b"a", b"b")
        for attempt in (0, 1)
    }

    assert len(delays) == 16


def test_a_negative_attempt_is_refused() -> None:
    with pytest.raises(ValueError, match="attempt must be >= 0, not -1"):
        ExponentialJitterRetryStrategy().delay_ns(b"", -1)


def test_the_default_strategy_is_a_retry_strategy_in_seconds() -> None:
    strategy: RetryStrategy = ExponentialJitterRetryStrategy(base=4)

    assert 3 <= strategy.next_delay(0, ValueError(), "") <= 4


def test_a_delay_worked_out_elsewhere_is_taken_as_it_is() -> None:
    assert FixedDelay(17).delay_ns(b"id", 5) == 17
