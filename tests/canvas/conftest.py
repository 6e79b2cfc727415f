"""Apps with tasks that are made for trees."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp, SyncTask, TaskContext
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy


class Shop:
    """
    An app and its tasks. Whatever runs writes a line to the journal.

    Attributes:
        app: The app.
        journal: A file with the name of each start, in the order of their beginning.
    """

    def __init__(self, root: Path, **settings: Any) -> None:
        self.journal = root / "journal"
        self.journal.touch()
        strategy = ExponentialJitterRetryStrategy(base=0.001, max=0.01)
        merged: dict[str, Any] = {
            "workers": 2,
            "slots": 1024,
            "arena_bytes": 4 << 20,
            "runtime_dir": root,
            "retry_strategy": strategy,
            **settings,
        }
        self.app = StemApp(**merged)
        self._add_simple()
        self._add_others()

    def note(self, word: object) -> None:
        """Write *word* to the journal."""
        with self.journal.open("a", encoding="ascii") as file:
            file.write(f"{word}\n")

    def _add_simple(self) -> None:
        note = self.note

        @self.app.task(name="add")
        def add(a: int, b: int = 1) -> int:
            note("add")
            return a + b

        @self.app.task(name="total")
        def total(values: list[int]) -> int:
            note("total")
            return sum(values)

        @self.app.task(name="fail")
        def fail(value: object = None) -> int:
            note("fail")
            raise ValueError("it had to be")

        @self.app.task(name="tell")
        def tell(context: TaskContext, value: object, word: str = "") -> list[object]:
            note(word or "tell")
            return [value, {k: v for k, v in context.meta.items() if k[0] == "c"}]

        self.add: SyncTask[[int, int], int] = add  # type: ignore[assignment]
        self.total: SyncTask[[list[int]], int] = total
        self.fail: Any = fail
        self.tell: Any = tell

    def _add_others(self) -> None:
        note = self.note

        @self.app.task(name="gate")
        def gate(value: int, path: str) -> int:
            note("gate")
            while not Path(path).exists():
                time.sleep(0.002)
            return value

        @self.app.task(name="fragile", max_retries=3)
        def fragile(context: TaskContext, value: int) -> int:
            note(f"fragile-{value}-{context.attempt}")
            if context.delivery.starts == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if context.attempt == 0:
                raise ConnectionError("once more")
            return value

        @self.app.task(name="large")
        def large(size: int) -> str:
            return "x" * size

        @self.app.task(name="length")
        def length(value: object) -> int:
            return len(value) if isinstance(value, str | list) else -1

        self.gate: Any = gate
        self.fragile: Any = fragile
        self.large: Any = large
        self.length: Any = length

    def starts(self, name: str) -> int:
        """Return how often *name* was started."""
        return self.journal.read_text().split().count(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A runtime directory."""
    folder = tmp_path / "rings"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def shop(root: Path) -> Iterator[Shop]:
    """A shop whose app runs."""
    made = Shop(root)
    with made.app:
        yield made
