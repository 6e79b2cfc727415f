"""Tasks that handlers enqueue with large arguments."""

from __future__ import annotations

import time

import pytest

from stem_actor import StemApp, TaskContext
from stem_actor.errors import PayloadTooLarge
from tests.app.conftest import Maker


def pass_on(context: TaskContext, size: int) -> str:
    return context.enqueue("echo", {"value": "x" * size}).id


def wait_for_end(app: StemApp, task_id: str) -> object:
    """Return what the task came to, once it has ended."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = app.status(task_id)
        if status is not None and status.is_terminal:
            return status.payload
        app.enqueue("add", {"a": 1}).result(timeout=10)
    raise AssertionError(f"{task_id} has not ended")


@pytest.mark.parametrize("size", [20_000, 200_000])
def test_a_handler_may_enqueue_large_arguments(make_app: Maker, size: int) -> None:
    app = make_app()
    app.register(pass_on)
    with app:
        child = app.enqueue(app.registry.names[-1], {"size": size}).result(timeout=10)

        assert wait_for_end(app, str(child)) == "x" * size


def test_a_childs_arguments_above_max_payload_are_refused_in_the_handler(
    make_app: Maker,
) -> None:
    app = make_app(max_payload=100_000)
    app.register(pass_on)
    with app:
        result = app.enqueue(app.registry.names[-1], {"size": 100_001}).wait(timeout=10)

    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == PayloadTooLarge.__name__
