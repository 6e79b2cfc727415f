"""A task that makes no sense fails by itself: it stops, and starves, no other."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from stem_actor import StemApp
from stem_actor.errors import TaskFailedError
from stem_actor.ids import format_id
from stem_actor.model.status import TaskStatus
from stem_actor.ring.record import MEMORY, POLICY, TaskHead
from tests.app.conftest import Maker
from tests.app.until import until

#: Whole maps, so the ring admits them; what is in them is another matter.
BAD_POLICIES = {
    "names are a number": {"retry": 5},
    "a name is a number": {"retry": ["ValueError"], "never": [7]},
}


def submit(app: StemApp, head: TaskHead, body: bytes = b"\x80") -> bytes:
    """Submit what no app of ours would; return the task's id."""
    connection = app.connection
    task_id, _ = connection.submit(head.pack(), body, queue="q", timeout_ns=10**10)
    return task_id


def ended(app: StemApp, task_id: bytes) -> TaskStatus:
    """Return the status of a task that ends within the deadline."""

    def look() -> TaskStatus | None:
        status = app.status(format_id(task_id))
        return status if status is not None and status.state.is_terminal else None

    return until(look)


@pytest.mark.parametrize("which", BAD_POLICIES)
def test_a_policy_that_makes_no_sense_fails_its_own_task_and_no_other(
    which: str, app: StemApp
) -> None:
    head = TaskHead(
        name="die",
        flags=POLICY,
        options=msgspec.msgpack.encode(BAD_POLICIES[which]),
        max_retries=2,
        max_crashes=1,
    )
    body = msgspec.msgpack.encode({"number": int(signal.SIGKILL)})
    crashing = app.registry.get("die").build_call(int(signal.SIGKILL))

    poison = submit(app, head, body)
    innocent = app.enqueue_many([crashing] * 2)

    status = ended(app, poison)
    assert (status.state, status.error and status.error.meta["reason"]) == (
        "failed",
        "unreadable",
    )
    for handle in innocent:
        with pytest.raises(TaskFailedError, match="crashed"):
            handle.result(timeout=60)
    assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3
    assert app.stats()["unreadable"] == 1
    assert app.health()["ok"]
    assert format_id(poison) in [letter.id for letter in app.dead_letters().list()]


def test_a_memory_limit_that_is_no_number_ends_the_start_that_it_came_with(
    app: StemApp,
) -> None:
    options = msgspec.msgpack.encode({"memory": "much"})
    body = msgspec.msgpack.encode({"seconds": 60.0})

    poison = submit(app, TaskHead(name="nap", meters=MEMORY, options=options), body)

    status = ended(app, poison)
    assert status.error is not None
    assert (status.state, status.error.meta["reason"]) == ("failed", "unreadable")
    assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3


def test_a_name_that_is_no_text_costs_its_producer_the_ring_and_others_nothing(
    make_app: Maker,
) -> None:
    app = make_app(broker="ring://names")
    with app:
        hostile = make_app(broker="ring://names")
        head = bytearray(TaskHead(name="add").pack())
        head[-1] = 0xFF
        hostile.connection.submit(bytes(head), b"\x80", queue="q", timeout_ns=10**10)
        until(lambda: app.stats()["corrupt"] == 1)

        assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3
        hostile.close()


def test_after_its_supervisor_was_killed_a_poison_record_still_ends(
    make_app: Maker, tmp_path: Path
) -> None:
    with make_app() as app:
        head = TaskHead(
            name="journal",
            flags=POLICY,
            options=msgspec.msgpack.encode({"retry": 5}),
            max_crashes=1,
        )
        path = tmp_path / "journal"
        body = msgspec.msgpack.encode({"path": str(path), "seconds": 60.0})
        poison = submit(app, head, body)
        until(path.exists)

        supervisor = app.directory.owner()
        assert supervisor is not None
        os.kill(supervisor, signal.SIGKILL)

        assert ended(app, poison).state == "failed"
        assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3


@pytest.mark.parametrize("kind", ["failed", "stopped"])
def test_an_outcome_that_cannot_be_read_is_listed_as_such(
    kind: str, app: StemApp
) -> None:
    handle = app.enqueue("report_garbage", {"kind": kind})

    status = until(lambda: app.dead_letters().list() or app.stats()["cancelled"])

    assert status
    letters = app.dead_letters().list()
    assert [letter.id for letter in letters] == [handle.id] * (kind == "failed")
    assert [letter.error.type for letter in letters] == ["Unreadable"] * len(letters)
    assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3
