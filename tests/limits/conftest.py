"""Apps with short limits, one for each module, and how to wait for an ending."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stem_actor import StemApp, TaskHandle, TaskResult
from stem_actor.model.status import TaskStatus
from stem_actor.model.verdict import Verdict
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy
from tests.limits.journal import Journal

#: No ending that a limit has brought about may come later than this: the bound is
#: generous, for machines with two loaded cores. How late it is, the bench measures.
LATE_S = 2.0
#: How long a test waits for what has no limit of its own.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Maker:
    """Makes apps with the ``HANDLERS`` of the modules; retries wait milliseconds."""

    runtime_dir: Path
    modules: tuple[ModuleType, ...]

    def __call__(self, **settings: Any) -> StemApp:
        merged: dict[str, Any] = {
            "workers": 2,
            "slots": 1024,
            "arena_bytes": 4 << 20,
            "runtime_dir": self.runtime_dir,
            "retry_strategy": ExponentialJitterRetryStrategy(base=0.001, max=0.01),
            **settings,
        }
        app = StemApp(**merged)
        for module in self.modules:
            for handler, options in module.HANDLERS:
                app.task(**options)(handler)
        return app


@pytest.fixture(scope="module")
def make_limits_app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Maker]:
    """Make apps with the handlers of the modules in ``JOBS`` of the test module."""
    root = tmp_path_factory.mktemp("rings")
    root.chmod(0o700)
    yield Maker(root, tuple(request.module.JOBS))
    left = [path for path in root.iterdir() if path.name.startswith("anon-")]
    assert left == [], "an anonymous ring left its directory behind"


@pytest.fixture(scope="module")
def limits_app(
    request: pytest.FixtureRequest, make_limits_app: Maker
) -> Iterator[StemApp]:
    """One started app for the module: two workers, or its ``SETTINGS``."""
    with make_limits_app(**getattr(request.module, "SETTINGS", {})) as made:
        yield made


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal for the handlers of one test."""
    return Journal(tmp_path / "journal")


def ended(handle: TaskHandle[Any], timeout: float = PATIENCE_S) -> TaskResult[Any]:
    """Return the result of *handle*, which must have ended within *timeout*."""
    result = handle.wait(timeout=timeout)
    assert not result.timed_out, f"{handle} has not ended within {timeout} s"
    return result


def verdict_of(result: TaskResult[Any]) -> Verdict:
    """Return the verdict in the error of *result*, which must have one."""
    error = result.status.error if result.status is not None else None
    assert error is not None, f"{result} has no error"
    assert error.verdict is not None, f"{error} has no verdict"
    return error.verdict


def state_in(status: TaskStatus | None) -> str:
    """Return the state in *status* as text; empty if nothing is known."""
    return "" if status is None else str(status.state)


def eventually(check: Callable[[], object], timeout: float = PATIENCE_S) -> bool:
    """Return whether *check* becomes true within *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of ``hostile.c`` as a library."""
    return compiled(tmp_path_factory, "hostile.c")


def compiled(factory: pytest.TempPathFactory, source: str) -> str:
    """Return the path of the shared library made of *source*, of this folder."""
    library = str(factory.mktemp("lib") / f"{source}.so")
    flags = ["-shared", "-fPIC", "-O0", "-w", "-pthread", "-o", library]
    subprocess.run(["cc", *flags, str(Path(__file__).with_name(source))], check=True)
    return library
