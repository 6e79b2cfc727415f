"""Fixtures of the core tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .harness import Arena, Shape


@pytest.fixture
def arena_of() -> Iterator[Callable[..., Arena]]:
    """Make arenas of a given shape; they are checked and closed at the end."""
    made: list[Arena] = []

    def make(**sizes: Any) -> Arena:
        made.append(Arena(Shape(**sizes)))
        return made[-1]

    yield make
    for arena in made:
        broken = arena.check()
        arena.close()
        assert broken == 0
