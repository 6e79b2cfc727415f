"""Retry strategies: how long to wait where a task brings no policy of its own."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from stem_actor.model.duration import Duration, to_ns

__all__ = [
    "DelaySource",
    "ExponentialJitterRetryStrategy",
    "FixedDelay",
    "RetryStrategy",
    "draw",
    "exponential_ns",
]


class RetryStrategy(Protocol):
    """
    The user's own rule for delays; asked in the worker whose task failed.

    Its answer reaches ``policy.retry.decide`` as a ``FixedDelay``.
    """

    def next_delay(self, attempt: int, error: BaseException, traceback: str) -> float:
        """
        Return how many seconds to wait before the next attempt.

        Args:
            attempt: 0-based number of the attempt that failed.
            error: What it raised; ``HardTimeLimitExceeded`` or ``WorkerLost`` if
                it was killed.
            traceback: Its traceback as text; empty if there is none.
        """
        ...


class DelaySource(Protocol):
    """A rule that is pure and needs no exception, so that anyone may ask it."""

    def delay_ns(self, task_id: bytes, attempt: int) -> int:
        """Return how many nanoseconds to wait after *attempt* (0-based) failed."""
        ...


@dataclass(frozen=True, slots=True)
class FixedDelay:
    """A delay that somebody has already worked out, in nanoseconds."""

    value_ns: int

    def delay_ns(self, task_id: bytes, attempt: int) -> int:
        return self.value_ns


@dataclass(frozen=True, slots=True)
class ExponentialJitterRetryStrategy:
    """
    Doubling delays with up to a quarter taken off.

    The delay after attempt *n* lies in ``[cap - cap // 4, cap]`` nanoseconds, where
    ``cap = min(base * 2**n, max)``. The same seed, task id and attempt give the same
    delay, in any process and in any order; there is no state.

    Attributes:
        base: Delay after the first attempt.
        max: Upper bound of every delay.
        seed: Chooses the schedule; None: the one that task ids alone give, which
            differ between tasks and so spread them too.

    Raises:
        ValueError: If a duration is out of range.

    Source: ``core/retry.dart`` of Stem; its delay overflows above attempt 1000.
    """

    base: Duration = 2
    max: Duration = 300
    seed: int | None = None

    def __post_init__(self) -> None:
        to_ns(self.base, "base")
        to_ns(self.max, "max")

    def delay_ns(self, task_id: bytes, attempt: int) -> int:
        """
        Return how many nanoseconds to wait after *attempt*.

        Raises:
            ValueError: If *attempt* is negative.
        """
        base_ns, max_ns = to_ns(self.base, "base"), to_ns(self.max, "max")
        cap = exponential_ns(base_ns, attempt, max_ns)
        return cap - draw(self.seed, task_id, attempt, cap // 4)

    def next_delay(self, attempt: int, error: BaseException, traceback: str) -> float:
        """
        Return the delay in seconds for a caller that has no task id at hand.

        All its tasks share one schedule; ``delay_ns`` spreads them.
        """
        return self.delay_ns(b"", attempt) / 1e9


def exponential_ns(base_ns: int, attempt: int, max_ns: int) -> int:
    """
    Return ``min(base_ns * 2**attempt, max_ns)``, at once for any *attempt*.

    Raises:
        ValueError: If *attempt* is negative.
    """
    if attempt < 0:
        raise ValueError(f"attempt must be >= 0, not {attempt}")
    # Durations stay below 2**63: a non-zero base shifted by 63 is above any bound.
    return min(base_ns << min(attempt, 63), max_ns)


def draw(seed: int | None, task_id: bytes, attempt: int, span: int) -> int:
    """
    Return a number in ``[0, span]``, evenly spread, from the arguments alone.

    A hash instead of a generator: a generator's next value depends on who asked
    before, so that two runs of the same tasks would differ.
    """
    digest = blake2b(
        b"%s|%d|%s" % (b"" if seed is None else b"%d" % seed, attempt, task_id),
        digest_size=16,
        person=b"stem.jitter",
    ).digest()
    # Multiply and shift: the bias of a modulo would be as small, but not uniform.
    return int.from_bytes(digest, "big") * (span + 1) >> 128
