"""What a handler stores in ``context.meta`` is kept however its start ends."""

from __future__ import annotations

from typing import Any

import pytest

from stem_actor import TaskContext
from stem_actor.ring.producer import Kind
from stem_actor.tasks.outcome import KEPT_MAX, kept_meta, unpack_success
from tests.unit.task_surface import bare_delivery, error_of, run


class Uncomparable:
    """Like an array: comparing it answers with something that has no truth."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


def writer(value: Any, error: BaseException | None = None) -> Any:
    def handler(context: TaskContext) -> int:
        context.meta["rows"] = value
        if error is not None:
            raise error
        return 1

    return handler


def asking(context: TaskContext) -> None:
    context.meta["rows"] = 3
    context.retry(countdown=1)


@pytest.mark.parametrize(
    ("error", "retries", "kind"),
    [
        (ValueError("no"), 0, Kind.FAILED),
        (ValueError("no"), 1, Kind.RETRY),
        (SystemExit(3), 0, Kind.FAILED),
        (None, 0, Kind.SUCCEEDED),
    ],
)
def test_meta_that_was_written_before_the_end_is_kept(
    error: BaseException | None, retries: int, kind: int
) -> None:
    report = run(writer(7, error), bare_delivery(max_retries=retries))

    kept = (
        unpack_success(report.payload)[1]
        if kind == Kind.SUCCEEDED
        else kept_meta(report.payload)
    )
    assert (report.kind, kept) == (kind, {"rows": 7})


def test_meta_is_kept_with_a_retry_that_the_handler_asks_for() -> None:
    report = run(asking, bare_delivery(max_retries=1))

    assert report.kind == Kind.RETRY
    assert kept_meta(report.payload) == {"rows": 3}


def test_an_error_without_written_meta_keeps_none() -> None:
    def handler() -> None:
        raise ValueError("no")

    assert kept_meta(run(handler).payload) == {}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "meta.rows"),
        ("x" * KEPT_MAX, "store less in context.meta"),
    ],
)
def test_meta_that_cannot_be_kept_never_hides_the_error(value: Any, why: str) -> None:
    report = run(writer(value, ValueError("the cause")))

    error = error_of(report)
    assert error.message == "the cause"
    assert why in str(error.meta["metaRefused"])
    assert kept_meta(report.payload) == {}


def test_meta_that_cannot_even_be_compared_never_hides_the_error() -> None:
    def handler(context: TaskContext) -> None:
        context.receive({}, {}, {"rows": 1})
        context.meta["rows"] = Uncomparable()
        raise ValueError("the cause")

    error = error_of(run(handler))

    assert error.message == "the cause"
    assert "ambiguous" in str(error.meta["metaRefused"])
