"""Durations, instants and rates."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from stem_actor.model.duration import (
    Duration,
    from_ns,
    from_wall_ns,
    to_ns,
    to_wall_ns,
)
from stem_actor.model.rate import RateLimit, parse_rate


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        (0, 0),
        (15, 15_000_000_000),
        (0.1, 100_000_000),
        (1e-9, 1),
        (10**9, 10**18),
        (timedelta(milliseconds=1500), 1_500_000_000),
        (timedelta(days=36_500, microseconds=1), 3_153_600_000_000_001_000),
    ],
)
def test_durations_become_exact_nanoseconds(value: Duration, ns: int) -> None:
    assert to_ns(value, "x") == ns


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-1, "limit must be >= 0, not -1"),
        (-0.5, "limit must be >= 0"),
        (-1e-12, "limit must be >= 0"),
        (-1e300, "limit must be >= 0"),
        (timedelta(seconds=-1), "limit must be >= 0"),
        (math.nan, "limit must be finite"),
        (math.inf, "limit must be finite"),
        (True, "must be a duration in seconds, not True"),
        (10**9 + 1, "milliseconds by mistake"),
        (1e300, "at most 146 years"),
        (timedelta.max, "at most 146 years"),
    ],
)
def test_a_bad_duration_names_its_place(value: Duration, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        to_ns(value, "limit")


def test_text_is_no_duration() -> None:
    with pytest.raises(TypeError, match="limit must be a timedelta or seconds"):
        to_ns("15", "limit")  # type: ignore[arg-type]


@pytest.mark.parametrize("ns", [0, 1, 999, 1_000, 123_456_789_123, 2**50 + 1])
def test_nanoseconds_survive_the_way_there_and_back(ns: int) -> None:
    assert to_ns(from_ns(ns), "x") == ns


def test_an_instant_is_exact_in_any_zone() -> None:
    east = timezone(timedelta(hours=2))
    instant = datetime(2026, 1, 3, 14, 0, 0, 123456, tzinfo=east)

    wall_ns = to_wall_ns(instant, "eta")

    assert wall_ns == 1_767_441_600_123_456_000
    assert from_wall_ns(wall_ns) == instant
    assert from_wall_ns(wall_ns).tzinfo is UTC


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="eta needs a time zone"):
        to_wall_ns(datetime(2026, 1, 3), "eta")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/s", RateLimit(5, 10**9)),
        ("60/m", RateLimit(60, 60 * 10**9)),
        ("4096/h", RateLimit(4096, 3600 * 10**9)),
    ],
)
def test_a_rate_reads_as_starts_in_a_window(text: str, rate: RateLimit) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "5", "5/sec", "10/d", "0/s", "-1/s", "5 /s", "5/S", "4097/s", "٥/s"]
)
def test_any_other_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate_limit must"):
        parse_rate(text)
