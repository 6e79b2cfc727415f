"""Children: what a task that a handler enqueues inherits, and may not do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stem_actor import (
    StemError,
    TaskCall,
    TaskEnqueueOptions,
)
from stem_actor.clock import VirtualClock
from stem_actor.engine.execute import execute
from stem_actor.ids import format_id
from stem_actor.tasks.context import TaskContext
from tests.unit.task_surface import (
    FakeRuntime,
    FakeSubmitter,
    bare_delivery,
    delivery_of,
    fresh,
    open_shop,
)

NOW_NS = VirtualClock().wall_ns()
SECOND = 10**9
NO_TEXT: Any = {"h": 1}


def child_of(parent: Any, delivery: Any, **runtime: Any) -> tuple[FakeSubmitter, Any]:
    """Run *parent* in a worker; returns what it submitted there, and its report."""
    children = FakeSubmitter()
    report = execute(parent, delivery, FakeRuntime(submitter=children, **runtime))
    return children, report


def test_a_child_inherits_trace_tenant_lineage_and_deadline_and_nothing_else() -> None:
    child = fresh()

    def parent() -> None:
        child.enqueue(1)

    task = fresh(parent, name="parent", priority=7)
    shop = open_shop(child, task)
    deadline = datetime(2030, 1, 1, tzinfo=UTC)
    shop.publisher.enqueue_call(
        TaskCall(
            name="parent",
            headers={"tenant": "t", "traceparent": "00-1", "x-secret": "s"},
            meta={"stem.rootTaskId": "root", "note": 1},
            enqueue_options=TaskEnqueueOptions(deadline=deadline),
        )
    )
    delivery = delivery_of(shop.last, attempt=2)

    children, _report = child_of(task, delivery)

    args, headers, meta = children.sent[0].content
    assert args == {"a": 1}
    assert headers == {"tenant": "t", "traceparent": "00-1"}
    assert meta == {
        "stem.parentTaskId": format_id(delivery.task_id),
        "stem.parentAttempt": 2,
        "stem.rootTaskId": "root",
    }
    head = children.sent[0].head
    assert head.deadline_ns == int(deadline.timestamp()) * SECOND
    assert head.priority == 0
    assert len(shop.submitter.sent) == 1  # the parent's own


def test_a_child_may_be_enqueued_without_lineage() -> None:
    child = fresh()

    def parent() -> None:
        child.with_options(add_to_parent=False).enqueue(1)

    task = fresh(parent)
    open_shop(child, task)

    children, _report = child_of(task, bare_delivery())

    assert children.sent[0].content == {"a": 1}


def test_the_wait_of_a_child_for_room_ends_with_its_parents_time() -> None:
    child = fresh()

    def parent() -> None:
        child.enqueue(1)

    task = fresh(parent)
    open_shop(child, task)

    children, _report = child_of(task, bare_delivery(), left_ns=123)

    assert children.sent[0].timeout_ns == 123


def test_a_handler_cannot_wait_for_its_own_child() -> None:
    child = fresh()

    def parent() -> None:
        for verb in ("result", "wait", "status", "revoke"):
            with pytest.raises(StemError, match="canvas"):
                getattr(child.enqueue(1), verb)()

    task = fresh(parent)
    open_shop(child, task)

    _children, report = child_of(task, bare_delivery())

    assert report.payload == b"\xc0"


def test_a_plain_call_inside_a_handler_stays_a_part_of_it() -> None:
    child = fresh()

    def inner(context: TaskContext) -> str:
        child.enqueue(1)
        return context.id

    helper = fresh(inner)

    def parent() -> str:
        return str(helper())

    task = fresh(parent)
    shop = open_shop(child, helper, task)

    children, report = child_of(task, bare_delivery())

    assert len(children.sent) == 1
    assert shop.submitter.sent == []
    assert format_id(bytes(16)).encode() in report.payload
