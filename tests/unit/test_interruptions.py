"""Interruptions of a start: soft limits, revokes, and handlers that leave."""

from __future__ import annotations

import asyncio
import sys

import pytest

from stem_actor import (
    SoftTimeLimitExceeded,
    TaskRevoked,
)
from stem_actor.ring.producer import Kind
from stem_actor.tasks.outcome import (
    unpack_cancellation,
)
from tests.unit.task_surface import (
    FakeRuntime,
    bare_delivery,
    error_of,
    raising,
    run,
)

SECOND = 10**9


class Unusual(BaseException):
    """Neither an Exception nor one of ours."""


@pytest.mark.parametrize("retries", [0, 1])
def test_a_soft_limit_is_an_error_like_a_hard_one(retries: int) -> None:
    delivery = bare_delivery(max_retries=retries, soft_ns=2 * SECOND)

    report = run(raising(SoftTimeLimitExceeded()), delivery)

    error = error_of(report, Kind.RETRY if retries else Kind.FAILED)
    assert error.type == "SoftTimeLimitExceeded"
    assert "2 s" in error.message
    assert error.meta["level"] == "soft"
    assert error.stack is not None


def test_a_cancellation_with_a_soft_limit_pending_is_that_limit() -> None:
    for is_async in (False, True):  # a plain handler may run a loop of its own
        handler = raising(asyncio.CancelledError(), is_async=is_async)

        error = error_of(run(handler, runtime=FakeRuntime(soft=True)))

        assert error.type == "SoftTimeLimitExceeded"


def test_a_cancellation_of_the_handlers_own_is_an_error_like_any_other() -> None:
    report = run(
        raising(asyncio.CancelledError(), is_async=True), bare_delivery(max_retries=1)
    )

    assert error_of(report, Kind.RETRY).type == "CancelledError"


@pytest.mark.parametrize(
    ("exc", "runtime", "detail"),
    [
        (TaskRevoked("by Eve"), FakeRuntime(), "by Eve"),
        (asyncio.CancelledError(), FakeRuntime(stopping=True), None),
    ],
)
def test_a_revoked_start_is_cancelled(
    exc: BaseException, runtime: FakeRuntime, detail: str | None
) -> None:
    report = run(raising(exc), bare_delivery(max_retries=5), runtime)

    assert report.kind == Kind.CANCELLED
    assert unpack_cancellation(report.payload) == ("revoked", detail)


def test_a_soft_limit_that_strikes_while_the_report_is_made_changes_nothing() -> None:
    class Late(Exception):
        struck = False

        def __str__(self) -> str:
            if not Late.struck:
                Late.struck = True
                raise SoftTimeLimitExceeded
            return "late"

    assert error_of(run(raising(Late()))).message == "late"


@pytest.mark.parametrize(
    ("exc", "reason", "status"),
    [
        (SystemExit(3), "sys.exit", 3),
        (SystemExit(), "sys.exit", 0),
        (SystemExit("text"), "sys.exit", None),
        (KeyboardInterrupt(), "KeyboardInterrupt", None),
        (Unusual(), "Unusual", None),
    ],
)
def test_a_handler_that_tries_to_leave_fails_and_is_not_retried(
    exc: BaseException, reason: str, status: int | None
) -> None:
    error = error_of(run(raising(exc), bare_delivery(max_retries=5)))

    assert error.meta["reason"] == reason
    assert error.meta.get("exitStatus") == status
    assert error.type == type(exc).__name__


def test_sys_exit_in_a_handler_does_not_end_the_worker() -> None:
    def handler() -> None:
        sys.exit(2)

    assert "sys.exit(2)" in error_of(run(handler)).message
