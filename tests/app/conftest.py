"""Apps for tests, each in a runtime directory of its own that must end up empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stem_actor import StemApp
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy
from tests.app import jobs


@dataclass(frozen=True)
class Maker:
    """Makes apps with the handlers of ``jobs``; retries wait milliseconds."""

    runtime_dir: Path
    settings: tuple[tuple[str, Any], ...] = ()

    def __call__(self, *, with_async: bool = False, **settings: Any) -> StemApp:
        merged: dict[str, Any] = {
            "workers": 2,
            "slots": 1024,
            "arena_bytes": 4 << 20,
            "runtime_dir": self.runtime_dir,
            "retry_strategy": ExponentialJitterRetryStrategy(base=0.001, max=0.01),
            **dict(self.settings),
            **settings,
        }
        app = StemApp(**merged)
        jobs.add_jobs(app)
        if with_async:
            for handler, options in jobs.ASYNC_HANDLERS:
                app.task(**options)(handler)  # type: ignore[call-overload]
        return app


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[Maker]:
    """Rings live on the file system of ``tmp_path``: nothing else is touched."""
    root = tmp_path / "rings"
    root.mkdir(mode=0o700)
    yield Maker(root)
    left = [path for path in root.iterdir() if path.name.startswith("anon-")]
    assert left == [], "an anonymous ring left its directory behind"


@pytest.fixture
def app(make_app: Maker) -> Iterator[StemApp]:
    """A started app with two workers."""
    made = make_app()
    with made:
        yield made
