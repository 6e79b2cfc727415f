"""Tasks that were accepted while every slot is taken: seen, revoked, counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stem_actor import QueueFull, StemApp, TaskHandle
from stem_actor.errors import TaskCancelledError
from tests.app.conftest import Maker

SLOTS = 64
GATE_S = 30.0

Full = tuple[StemApp, list[TaskHandle[object]]]


@pytest.fixture
def full(make_app: Maker, tmp_path: Path) -> Iterator[Full]:
    """An app whose slots are all taken, and 200 accepted tasks that wait for a file."""
    app = make_app(workers=1, slots=SLOTS)
    with app:
        call = app.registry.get("wait_for").build_call(str(tmp_path / "go"))
        yield app, app.enqueue_many([call] * 200)
        app.stop(deadline=0)


def test_a_task_that_waits_for_a_slot_is_queued(full: Full) -> None:
    app, handles = full

    statuses = [handle.status() for handle in handles]

    assert {status.state for status in statuses if status} <= {"queued", "running"}
    assert None not in statuses
    last = app.status(handles[-1].id)
    assert last is not None
    assert (last.meta["waiting"], last.meta["queue"]) == (
        "in the submit ring",
        "default",
    )
    assert last.created_at is not None
    assert last.starts == 0


def test_a_task_that_waits_for_a_slot_can_be_revoked(
    full: Full, tmp_path: Path
) -> None:
    app, handles = full
    last, before = handles[-1], handles[-2]

    assert app.revoke(last.id, reason="changed my mind " * 20)
    assert last.revoke()  # told twice, done once

    status = last.status()
    assert status is not None
    assert status.meta["waiting"] == "in the submit ring, revoked"
    (tmp_path / "go").touch()
    assert before.result(timeout=GATE_S) is None
    with pytest.raises(TaskCancelledError, match="changed my mind"):
        last.result(timeout=GATE_S)
    ended = last.status()
    assert ended is not None
    assert (ended.state, ended.starts) == ("cancelled", 0)
    assert not app.revoke(last.id)


def test_what_is_full_says_how_many_wait_for_a_slot(full: Full) -> None:
    app, handles = full
    one_more = app.registry.get("wait_for").with_options(on_full="raise")

    error: QueueFull | None = None
    while error is None:
        try:
            handles.append(one_more.enqueue("/"))
        except QueueFull as caught:
            error = caught

    assert len(handles) - SLOTS <= error.accepted < len(handles)
    assert error.limit == SLOTS
    assert f"64 slots, and {error.accepted:,} accepted tasks wait" in str(error)
