"""Clocks."""

from __future__ import annotations

import pytest

from stem_actor.clock import Clock, SystemClock, VirtualClock


def test_a_virtual_clock_moves_only_when_told() -> None:
    clock: Clock = VirtualClock(monotonic_ns=5, wall_ns=100)
    assert isinstance(clock, VirtualClock)

    clock.advance(7)

    assert (clock.monotonic_ns(), clock.wall_ns()) == (12, 107)


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="by_ns must be >= 0"):
        VirtualClock().advance(-1)


def test_the_system_clock_does_not_go_back() -> None:
    clock: Clock = SystemClock()

    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.wall_ns() > 1_700_000_000_000_000_000
