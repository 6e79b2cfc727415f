"""Interruptions of a start: soft limits, revokes, and handlers that leave."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

import pytest

from stem_actor import (
    SoftTimeLimitExceeded,
    TaskRevoked,
)
from stem_actor.payload.wire import unpack
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import ACKS_EARLY
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

    passed = FakeRuntime(interruption="soft")
    report = run(raising(SoftTimeLimitExceeded()), delivery, passed)

    error = error_of(report, Kind.RETRY if retries else Kind.FAILED)
    assert error.type == "SoftTimeLimitExceeded"
    assert "2 s" in error.message
    assert error.meta["level"] == "soft"
    assert error.stack is not None


def test_a_cancellation_with_a_soft_limit_pending_is_that_limit() -> None:
    for is_async in (False, True):  # a plain handler may run a loop of its own
        handler = raising(asyncio.CancelledError(), is_async=is_async)

        error = error_of(run(handler, runtime=FakeRuntime(interruption="soft")))

        assert error.type == "SoftTimeLimitExceeded"


def test_a_cancellation_of_the_handlers_own_is_an_error_like_any_other() -> None:
    report = run(
        raising(asyncio.CancelledError(), is_async=True), bare_delivery(max_retries=1)
    )

    assert error_of(report, Kind.RETRY).type == "CancelledError"


@pytest.mark.parametrize("retries", [0, 1])
def test_a_limit_that_the_handler_raises_by_itself_is_an_error_like_any_other(
    retries: int,
) -> None:
    delivery = bare_delivery(max_retries=retries, soft_ns=2 * SECOND)

    report = run(raising(SoftTimeLimitExceeded(9)), delivery)

    error = error_of(report, Kind.RETRY if retries else Kind.FAILED)
    assert error.type == "SoftTimeLimitExceeded"
    assert "of 9 s" in error.message
    assert error.meta["verdict"] == {"reason": "raised", "wallS": 1.5}


def test_a_handler_that_is_only_told_may_raise_its_limit_once_it_has_passed() -> None:
    class Late(FakeRuntime):
        def facts(self) -> Mapping[str, object]:
            return {**super().facts(), "softExceeded": True}

    report = run(raising(SoftTimeLimitExceeded()), bare_delivery(), Late())

    verdict = error_of(report).meta["verdict"]
    assert verdict == {"reason": "soft", "wallS": 1.5, "softExceeded": True}


def test_a_task_may_revoke_itself() -> None:
    report = run(raising(TaskRevoked("by Eve")), bare_delivery(max_retries=5))

    assert report.kind == Kind.CANCELLED
    assert unpack_cancellation(report.payload) == ("revoked", "by Eve")


@pytest.mark.parametrize(
    "exc",
    [
        TaskRevoked(),
        asyncio.CancelledError(),
        BaseExceptionGroup("in a group", [ValueError(), TaskRevoked()]),
    ],
)
def test_a_start_that_was_revoked_and_has_stopped_is_left_to_the_supervisor(
    exc: BaseException,
) -> None:
    report = run(
        raising(exc), bare_delivery(max_retries=5), FakeRuntime(interruption="revoked")
    )

    assert report.kind == Kind.STOPPED
    assert unpack(report.payload) == {"reason": "revoked", "wallS": 1.5}


@pytest.mark.parametrize(
    "exc", [SoftTimeLimitExceeded(), asyncio.CancelledError()], ids=["plain", "async"]
)
def test_a_start_that_a_drain_has_interrupted_is_handed_back(
    exc: BaseException,
) -> None:
    drained = FakeRuntime(interruption="drain")

    assert run(raising(exc), runtime=drained).kind == Kind.HANDED_BACK
    at_most_once = run(raising(exc), bare_delivery(flags=ACKS_EARLY), drained)
    assert error_of(at_most_once).meta["reason"] == "worker-lost"


def test_an_error_of_the_handlers_own_stands_though_it_was_interrupted() -> None:
    interrupted = FakeRuntime(interruption="soft")

    error = error_of(run(raising(ValueError("bad")), runtime=interrupted))

    assert (error.type, error.meta["verdict"]) == (
        "ValueError",
        {"reason": "raised", "wallS": 1.5},
    )


def test_a_soft_limit_in_a_task_of_a_group_is_that_limit() -> None:
    group = BaseExceptionGroup("two", [SoftTimeLimitExceeded(), ValueError()])

    error = error_of(run(raising(group), runtime=FakeRuntime(interruption="soft")))

    assert error.type == "SoftTimeLimitExceeded"


def test_an_error_that_leaves_when_it_is_printed_is_reported_all_the_same() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise SystemExit

    message = error_of(run(raising(Unprintable()))).message

    assert message == "<str() of the Unprintable raised SystemExit>"


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
    assert error.message


def test_sys_exit_in_a_handler_does_not_end_the_worker() -> None:
    def handler() -> None:
        sys.exit(2)

    assert "sys.exit(2)" in error_of(run(handler)).message
