"""decide: which outcome follows from which ending."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stem_actor.model.ending import (
    Cancel,
    Expired,
    Fail,
    FailReason,
    Lost,
    OutOfMemory,
    Raised,
    Replay,
    Retry,
    RetryRequested,
    Returned,
    Revoked,
    Succeed,
    TimedOut,
)
from stem_actor.model.error import TaskError
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.policy.retry import Situation, decide, matches, policy_delay_ns
from stem_actor.policy.strategy import FixedDelay

RESET = TaskError.from_exception(ConnectionResetError("gone"))
FIRST = Situation(attempt=0, max_retries=2, strategy=FixedDelay(77))


def retry_of(outcome: object) -> Retry:
    assert isinstance(outcome, Retry)
    return outcome


def fail_of(outcome: object) -> Fail:
    assert isinstance(outcome, Fail)
    return outcome


def test_a_returned_value_succeeds() -> None:
    assert decide(Returned(b"x"), None, FIRST) == Succeed(b"x")


def test_without_a_policy_the_strategy_gives_the_delay() -> None:
    outcome = retry_of(decide(Raised(RESET), None, FIRST))

    assert (outcome.delay_ns, outcome.max_retries) == (77, 2)
    assert outcome.error == replace(RESET, retryable=True)
    assert outcome.policy is None


def test_a_policy_bypasses_the_strategy_even_without_a_delay() -> None:
    assert retry_of(decide(Raised(RESET), TaskRetryPolicy(), FIRST)).delay_ns == 0


@pytest.mark.parametrize(
    ("attempt", "of_envelope", "of_policy", "is_retried"),
    [
        (0, 0, None, False),
        (0, 1, None, True),
        (1, 1, None, False),
        (1, 1, 2, True),
        (0, 5, 0, False),
    ],
)
def test_the_policys_number_of_retries_beats_the_envelopes(
    attempt: int, of_envelope: int, of_policy: int | None, is_retried: bool
) -> None:
    situation = replace(FIRST, attempt=attempt, max_retries=of_envelope)
    policy = TaskRetryPolicy(max_retries=of_policy)

    outcome = decide(Raised(RESET), policy, situation)

    assert isinstance(outcome, Retry) is is_retried
    if not is_retried:
        failure = fail_of(outcome)
        assert failure == Fail(FailReason.EXHAUSTED, RESET)


@pytest.mark.parametrize(
    ("only", "never", "is_retried"),
    [
        ((), (), True),
        ((OSError,), (), True),
        ((ConnectionError,), (), True),
        ((ValueError,), (), False),
        ((), (OSError,), False),
        ((OSError,), (ConnectionResetError,), False),
        (("ConnectionError",), (), True),
        (("builtins.ConnectionError",), (), True),
        (("requests.ConnectionError",), (), False),
        ((BaseException,), (), True),
    ],
)
def test_filters_match_subclasses_by_name(
    only: tuple[type[BaseException] | str, ...],
    never: tuple[type[BaseException] | str, ...],
    is_retried: bool,
) -> None:
    policy = TaskRetryPolicy(auto_retry_for=only, dont_auto_retry_for=never)

    outcome = decide(Raised(RESET), policy, FIRST)

    assert isinstance(outcome, Retry) is is_retried
    if not is_retried:
        assert fail_of(outcome).reason is FailReason.REFUSED


def test_two_classes_of_one_name_are_told_apart_by_their_modules() -> None:
    foreign = TaskError(type="ConnectionError", bases=("requests.ConnectionError",))

    assert not matches(foreign, ("builtins.ConnectionError",))
    assert matches(foreign, ("ConnectionError",))


def test_an_error_without_bases_matches_by_its_type() -> None:
    assert matches(TaskError(type="Gone"), ("Gone",))


@pytest.mark.parametrize(
    ("level", "cls", "is_retried"),
    [
        ("hard", TimeoutError, True),
        ("hard", ValueError, False),
        ("soft", TimeoutError, False),
        ("soft", "SoftTimeLimitExceeded", True),
    ],
)
def test_a_limit_goes_through_the_filters_like_a_raised_error(
    level: str, cls: type[BaseException] | str, is_retried: bool
) -> None:
    ending = TimedOut(level, 2_500_000_000, stack="here")  # type: ignore[arg-type]
    policy = TaskRetryPolicy(auto_retry_for=(cls,))

    outcome = decide(ending, policy, FIRST)

    assert isinstance(outcome, Retry) is is_retried
    assert isinstance(outcome, Retry | Fail)
    assert outcome.error.message == f"{level} time limit of 2.5 s exceeded"
    assert outcome.error.stack == "here"


def test_a_deadline_that_has_passed_is_the_end_whatever_retries_are_left() -> None:
    ending = TimedOut("deadline", 0, stack="here")

    outcome = fail_of(decide(ending, None, replace(FIRST, max_retries=9)))

    assert outcome.reason is FailReason.DEADLINE
    assert outcome.error.type == "HardTimeLimitExceeded"
    assert outcome.error.message == "its deadline passed while it ran"


def test_a_memory_limit_of_its_own_is_an_error_and_not_a_crash() -> None:
    ending = OutOfMemory(1_000_000, stack="here")

    retried = decide(ending, None, replace(FIRST, max_retries=1, crashes=3))
    failed = fail_of(decide(ending, None, replace(FIRST, max_retries=0)))

    assert isinstance(retried, Retry)
    assert failed.error.type == "WorkerLost"
    assert failed.error.message == "memory limit of 1,000,000 bytes exceeded"


def test_a_crash_replays_the_same_attempt() -> None:
    assert decide(Lost(signal=11), None, replace(FIRST, crashes=1)) == Replay()


def test_the_third_crash_dead_letters_the_task() -> None:
    ending = Lost(signal=9, oom=True, stack="last words")

    outcome = fail_of(decide(ending, None, replace(FIRST, crashes=3)))

    assert outcome.reason is FailReason.CRASHED
    assert outcome.error.type == "WorkerLost"
    assert outcome.error.stack == "last words"
    assert outcome.error.meta == {
        "reason": "crashed",
        "signal": 9,
        "exitStatus": None,
        "oom": True,
    }


def test_a_memory_kill_says_so() -> None:
    outcome = fail_of(decide(Lost("memory"), None, replace(FIRST, crashes=3)))

    assert outcome.reason is FailReason.MEMORY


def test_a_collateral_death_is_never_a_crash() -> None:
    situation = replace(FIRST, crashes=99, recovery_policy="retry", max_retries=0)

    assert decide(Lost("collateral"), None, situation) == Replay()


def test_a_crash_can_count_as_a_failed_attempt() -> None:
    situation = replace(FIRST, crashes=1, recovery_policy="retry")

    assert retry_of(decide(Lost(), None, situation)).error.type == "WorkerLost"
    last = replace(situation, attempt=2)
    assert fail_of(decide(Lost(), None, last)).reason is FailReason.EXHAUSTED


@pytest.mark.parametrize("reason", ["crashed", "memory", "collateral"])
def test_an_early_ack_makes_every_loss_terminal(reason: str) -> None:
    situation = replace(FIRST, acks_late=False)

    outcome = fail_of(decide(Lost(reason), None, situation))  # type: ignore[arg-type]

    assert outcome.reason is FailReason.LOST


def test_an_early_ack_still_retries_raised_errors() -> None:
    retry_of(decide(Raised(RESET), None, replace(FIRST, acks_late=False)))


def test_revoked_and_expired_are_cancelled() -> None:
    assert decide(Revoked(), None, FIRST) == Cancel("revoked")
    assert decide(Revoked("stopped"), None, FIRST) == Cancel("stopped")
    assert decide(Expired(), None, FIRST) == Cancel("expired")


def test_a_requested_retry_without_a_time_is_at_once() -> None:
    outcome = retry_of(decide(RetryRequested(), None, FIRST))

    assert outcome.delay_ns == 0
    assert outcome.error.type == "RetryRequested"


@pytest.mark.parametrize(
    ("request_", "delay_ns"),
    [
        (RetryRequested(), 3_000_000_000),
        (RetryRequested(countdown_ns=5), 5),
        (RetryRequested(countdown_ns=5, eta_ns=1_030), 30),
        (RetryRequested(eta_ns=10), 0),
        (RetryRequested(retry_policy=TaskRetryPolicy(default_delay=1)), 10**9),
    ],
)
def test_the_time_of_a_requested_retry(request_: RetryRequested, delay_ns: int) -> None:
    policy = TaskRetryPolicy(default_delay=3)

    outcome = decide(request_, policy, replace(FIRST, now_wall_ns=1_000))

    assert retry_of(outcome).delay_ns == delay_ns


def test_a_request_ignores_the_filters_and_keeps_what_it_asked_for() -> None:
    own = TaskRetryPolicy(auto_retry_for=(ValueError,), max_retries=9)
    request = RetryRequested(retry_policy=own, time_limit_ns=20, soft_time_limit_ns=10)

    outcome = retry_of(decide(request, TaskRetryPolicy(max_retries=0), FIRST))

    assert outcome.policy == own
    assert (outcome.time_limit_ns, outcome.soft_time_limit_ns) == (20, 10)
    assert outcome.max_retries == 9


@pytest.mark.parametrize(
    ("of_request", "of_policy", "is_retried"),
    [
        (5, 0, True),
        (0, 5, False),
        (None, 3, True),
        (None, 2, False),
        (None, None, False),
    ],
)
def test_the_requests_number_of_retries_beats_the_policys_beats_the_envelopes(
    of_request: int | None, of_policy: int | None, is_retried: bool
) -> None:
    request = RetryRequested(max_retries=of_request)
    policy = TaskRetryPolicy(max_retries=of_policy)

    outcome = decide(request, policy, replace(FIRST, attempt=2))

    assert isinstance(outcome, Retry) is is_retried
    if not is_retried:
        assert fail_of(outcome).error.type == "RetryExhausted"


def test_a_requested_number_of_retries_still_holds_at_the_next_failure() -> None:
    policy = TaskRetryPolicy(max_retries=1)
    asked = retry_of(decide(RetryRequested(max_retries=5), policy, FIRST))

    later = replace(FIRST, attempt=3, max_retries=asked.max_retries)
    outcome = decide(Raised(RESET), asked.policy or policy, later)

    assert retry_of(outcome).max_retries == 5


@pytest.mark.parametrize(
    ("policy", "attempt", "low_s", "high_s"),
    [
        (TaskRetryPolicy(default_delay=5), 4, 5, 5),
        (TaskRetryPolicy(backoff=True, default_delay=1), 3, 6, 8),
        (TaskRetryPolicy(backoff=True, default_delay=1, jitter=False), 3, 8, 8),
        (TaskRetryPolicy(backoff=True, default_delay=1, backoff_max=4), 3, 3, 4),
        (TaskRetryPolicy(backoff=True, backoff_max=4, jitter=False), 0, 4, 4),
        (TaskRetryPolicy(backoff=True, default_delay=9, backoff_max=0), 1, 0, 0),
        (TaskRetryPolicy(backoff=True), 1000, 0, 0),
    ],
)
def test_the_delay_of_a_policy(
    policy: TaskRetryPolicy, attempt: int, low_s: int, high_s: int
) -> None:
    delay = policy_delay_ns(policy, attempt=attempt, task_id=b"id")

    assert low_s * 10**9 <= delay <= high_s * 10**9
