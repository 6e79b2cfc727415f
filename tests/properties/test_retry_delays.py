"""Retry delays: inside their bounds, repeatable, for every policy and attempt."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from stem_actor.model.duration import MAX_NS, to_ns
from stem_actor.model.ending import Fail, FailReason, Raised, Retry
from stem_actor.model.error import TaskError
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.policy.retry import Situation, decide, policy_delay_ns
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy, draw

DURATIONS = st.one_of(
    st.integers(0, 10**9),
    st.floats(0, 1e9, allow_nan=False),
    st.timedeltas(timedelta(0), timedelta(days=36_500)),
)
ATTEMPTS = st.one_of(st.integers(0, 80), st.integers(0, 10**6))
TASK_IDS = st.binary(min_size=16, max_size=16)
SEEDS = st.none() | st.integers()
BOOM = Raised(TaskError(type="Boom"))


@given(base=DURATIONS, bound=DURATIONS, attempt=ATTEMPTS, task=TASK_IDS, seed=SEEDS)
def test_a_strategys_delay_lies_in_its_last_quarter(
    base: float, bound: float, attempt: int, task: bytes, seed: int | None
) -> None:
    strategy = ExponentialJitterRetryStrategy(base=base, max=bound, seed=seed)
    cap = min(to_ns(base, "") * 2 ** min(attempt, 100), to_ns(bound, ""))

    delay = strategy.delay_ns(task, attempt)

    assert cap - cap // 4 <= delay <= cap


@given(
    base=DURATIONS,
    bound=st.none() | DURATIONS,
    jitter=st.booleans(),
    attempt=ATTEMPTS,
    task=TASK_IDS,
)
def test_a_policys_delay_follows_its_formula(
    base: float, bound: float | None, jitter: bool, attempt: int, task: bytes
) -> None:
    policy = TaskRetryPolicy(
        backoff=True, default_delay=base, backoff_max=bound, jitter=jitter
    )
    raw = to_ns(base, "") * 2 ** min(attempt, 100)
    cap = raw if bound is None else to_ns(bound, "")
    capped = min(cap if raw == 0 else min(raw, cap), MAX_NS)

    delay = policy_delay_ns(policy, attempt=attempt, task_id=task)

    assert (capped - capped // 4 if jitter else capped) <= delay <= capped


@given(attempt=ATTEMPTS, task=TASK_IDS, seed=SEEDS, span=st.integers(0, MAX_NS))
def test_a_draw_depends_on_its_arguments_alone(
    attempt: int, task: bytes, seed: int | None, span: int
) -> None:
    first = draw(seed, task, attempt, span)

    draw(seed, task, attempt + 1, span)  # anyone else's draw in between

    assert 0 <= first <= span
    assert draw(seed, task, attempt, span) == first


def test_draws_reach_both_ends_and_are_even() -> None:
    counts = [0, 0, 0, 0]

    for attempt in range(4000):
        counts[draw(1, b"task", attempt, 3)] += 1

    assert min(counts) > 850
    assert max(counts) < 1150


@given(
    of_envelope=st.integers(0, 20),
    of_policy=st.none() | st.integers(0, 20),
    has_policy=st.booleans(),
)
def test_a_task_that_always_fails_is_tried_exactly_as_often_as_allowed(
    of_envelope: int, of_policy: int | None, has_policy: bool
) -> None:
    policy = TaskRetryPolicy(max_retries=of_policy) if has_policy else None
    in_force = of_envelope
    if has_policy and of_policy is not None:
        in_force = of_policy
    situation = Situation(attempt=0, max_retries=of_envelope)
    attempts = 1

    outcome = decide(BOOM, policy, situation)
    while isinstance(outcome, Retry):
        situation = Situation(attempt=attempts, max_retries=outcome.max_retries)
        attempts += 1
        outcome = decide(BOOM, policy, situation)

    assert attempts == in_force + 1
    assert isinstance(outcome, Fail)
    assert outcome.reason is FailReason.EXHAUSTED
