"""Durations and instants: what users write, as the integer nanoseconds we keep."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["MAX_NS", "Duration", "from_ns", "from_wall_ns", "to_ns", "to_wall_ns"]

Duration = timedelta | float
"""A length of time: a ``timedelta``, or seconds as a number."""

MAX_NS: Final = 1 << 62
"""146 years. Wall time plus a duration stays inside a signed 64-bit number."""

_NS: Final = 1_000_000_000
_MILLISECONDS_BY_MISTAKE: Final = 10**9
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(value: Duration, name: str) -> int:
    """
    Return *value* in nanoseconds, in ``[0, MAX_NS]``.

    Args:
        value: A ``timedelta``, or seconds as an int or float.
        name: What the value is called where it was written; used in errors.

    Raises:
        ValueError: If *value* is negative, not finite, a bool, longer than 146
            years, or an int above 10**9 (milliseconds by mistake).
        TypeError: If *value* is no duration at all.
    """
    if isinstance(value, timedelta):
        ns = value // _MICROSECOND * 1000  # exact; total_seconds() would round
    elif isinstance(value, bool):
        raise ValueError(f"{name} must be a duration in seconds, not {value}")
    elif isinstance(value, int):
        if value > _MILLISECONDS_BY_MISTAKE:
            raise ValueError(
                f"{name} is {value} seconds, about {value // 31_557_600} years; "
                "milliseconds by mistake?"
            )
        ns = value * _NS
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, not {value}")
        # Bounded before the product, which could overflow to infinity.
        ns = round(min(value, 1e10) * _NS) if value >= 0 else -1
    else:
        raise TypeError(
            f"{name} must be a timedelta or seconds, not {type(value).__name__}"
        )
    if ns < 0:
        raise ValueError(f"{name} must be >= 0, not {value}")
    if ns > MAX_NS:
        raise ValueError(f"{name} must be at most 146 years, not {value}")
    return ns


def from_ns(ns: int) -> Duration:
    """Return *ns* as a duration that ``to_ns`` reads back (exactly below 26 days)."""
    if ns % 1000 == 0:
        return timedelta(microseconds=ns // 1000)
    return ns / _NS


def to_wall_ns(value: datetime, name: str) -> int:
    """
    Return *value* in nanoseconds since 1970-01-01T00:00Z, exactly.

    Raises:
        ValueError: If *value* has no time zone (it would mean another instant on
            another machine) or lies before 1970 or more than 146 years after it.
        TypeError: If *value* is not a ``datetime``.
    """
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(value).__name__}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError(f"{name} needs a time zone, for example datetime.now(UTC)")
    ns = (value - _EPOCH) // _MICROSECOND * 1000
    if not 0 <= ns <= MAX_NS:
        raise ValueError(f"{name} must lie between 1970 and 2116, not at {value}")
    return ns


def from_wall_ns(wall_ns: int) -> datetime:
    """Return the UTC instant of *wall_ns*, rounded down to a microsecond."""
    return _EPOCH + timedelta(microseconds=wall_ns // 1000)
