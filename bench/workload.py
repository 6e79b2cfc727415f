"""The one function every side of every bench runs: as little as a task can do."""

from __future__ import annotations


def add(a: int) -> int:
    """Return *a* plus one, so that a result proves that its own task ran."""
    return a + 1


def sum_of_lives(count: int, start: int = 0) -> int:
    """Return what the results of ``add(start) … add(start + count - 1)`` sum to."""
    return count * start + count * (count + 1) // 2
