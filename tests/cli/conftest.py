"""A terminal for each test; what it started has to be gone at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stem_actor.ring.directory import RingDirectory
from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    assert RingDirectory(made.ring, is_anonymous=False).owner() is None


@pytest.fixture
def shop(terminal: Terminal) -> Iterator[Terminal]:
    """A terminal in a folder with an app whose workers run."""
    with terminal.worker():
        yield terminal
