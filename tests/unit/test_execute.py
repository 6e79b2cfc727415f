"""Executing: every way in which a start can end, as the report that is made of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from stem_actor import (
    TaskContext,
    TaskOptions,
    TaskRetryPolicy,
)
from stem_actor.engine.execute import Report
from stem_actor.engine.failure import NEXT
from stem_actor.engine.head import build_head
from stem_actor.payload.wire import pack_args, pack_value
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import ARGS_HEADERS_META, IGNORE_RESULT
from stem_actor.tasks.outcome import (
    unpack_success,
)
from tests.unit.task_surface import (
    bare_delivery,
    error_of,
    raising,
    run,
)

SECOND = 10**9


@dataclass
class Item:
    name: str


# --- success


def test_a_returned_value_is_a_success() -> None:
    report = run(lambda a, b: a + b, bare_delivery(pack_args({"a": 1, "b": 2})))

    assert report == Report(Kind.SUCCEEDED, pack_value(3))


def test_a_coroutine_handler_is_awaited() -> None:
    async def double(a: int) -> int:
        await asyncio.sleep(0)
        return 2 * a

    assert run(double, bare_delivery(pack_args({"a": 4}))).payload == pack_value(8)


def test_typed_arguments_are_raised_and_a_typed_result_is_lowered() -> None:
    def rename(item: Item, when: datetime) -> Item:
        assert when == datetime(2026, 1, 1, tzinfo=UTC)
        return Item(item.name.upper())

    body = pack_args({"item": {"name": "a"}, "when": "2026-01-01T00:00:00Z"})

    assert unpack_success(run(rename, bare_delivery(body)).payload) == (
        {"name": "A"},
        {},
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_the_handler_gets_the_context_that_code_below_it_finds(is_async: bool) -> None:
    seen: list[TaskContext | None] = []

    def handler(context: TaskContext) -> None:
        seen.extend([context, TaskContext.current()])

    async def coroutine(context: TaskContext) -> None:
        handler(context)

    run(coroutine if is_async else handler)

    assert seen[0] is seen[1] is not None
    assert TaskContext.current() is None


def test_headers_and_meta_reach_the_context_and_written_meta_comes_back() -> None:
    def handler(context: TaskContext, a: int) -> int:
        assert context.args == {"a": 1}
        assert context.headers == {"h": "x"}
        context.meta["kept"] = a
        return a

    body = pack_value([{"a": 1}, {"h": "x"}, {"given": 0}])
    delivery = bare_delivery(body)
    delivery.kind = ARGS_HEADERS_META

    report = run(handler, delivery)

    assert unpack_success(report.payload) == (1, {"given": 0, "kept": 1})


def test_an_ignored_result_is_neither_kept_nor_checked() -> None:
    report = run(lambda: object(), bare_delivery(flags=IGNORE_RESULT))

    assert report == Report(Kind.SUCCEEDED, b"\xc0")


# --- what does not fit


@pytest.mark.parametrize("body", [pack_args({"z": 1}), b"\x93", pack_value([1]), b""])
@pytest.mark.parametrize("is_async", [False, True])
def test_arguments_that_do_not_fit_fail_at_once(body: bytes, is_async: bool) -> None:
    def handler(a: int) -> int:
        raise AssertionError("it must not run")

    async def coroutine(a: int) -> int:
        raise AssertionError("it must not run")

    delivery = bare_delivery(body, max_retries=5)
    error = error_of(run(coroutine if is_async else handler, delivery))

    assert error.type in ("TypeError", "PayloadError")
    assert error.meta["reason"] == "bad-arguments"
    assert not error.retryable


def test_arguments_that_do_not_fit_their_annotation_fail_at_once() -> None:
    def handler(item: Item, n: int) -> None: ...

    body = pack_args({"item": {"nom": "a"}, "n": 1})

    error = error_of(run(handler, bare_delivery(body, max_retries=5)))

    assert error.meta["reason"] == "bad-arguments"
    assert "args.item" in error.message


def test_a_type_error_of_the_handlers_own_is_retried() -> None:
    def handler() -> None:
        len(3)  # type: ignore[arg-type]

    report = run(handler, bare_delivery(max_retries=1))

    assert error_of(report, Kind.RETRY).type == "TypeError"


def test_a_result_without_a_wire_form_fails_and_names_the_path() -> None:
    report = run(lambda: {"items": [{1}]}, bare_delivery(max_retries=5))

    error = error_of(report)
    assert error.type == "PayloadError"
    assert "result.items[0]" in error.message
    assert error.meta["reason"] == "bad-result"


def test_written_meta_without_a_wire_form_names_the_path() -> None:
    def handler(context: TaskContext) -> int:
        context.meta["when"] = {1}
        return 1

    assert "meta.when" in error_of(run(handler)).message


# --- errors and retries


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_is_retried_while_there_are_retries(is_async: bool) -> None:
    handler = raising(ValueError("no"), is_async=is_async)

    first = run(handler, bare_delivery(max_retries=1))
    delivery = bare_delivery(max_retries=1)
    delivery.attempt = 1
    last = run(handler, delivery)

    assert error_of(first, Kind.RETRY).retryable
    assert 1.5 * SECOND <= first.delay_ns <= 2 * SECOND
    error = error_of(last)
    assert (error.message, error.retryable) == ("no", False)
    verdict = {"reason": "raised", "wallS": 1.5}
    facts = {"reason": "max-retries-exhausted", "attempt": 1}
    assert error.meta == {**facts, "verdict": verdict}


def test_a_traceback_begins_in_the_users_code() -> None:
    def handler() -> None:
        raise ValueError("no")

    stack = error_of(run(handler)).stack

    assert stack is not None
    assert stack.splitlines()[1].strip().endswith("in handler")


def test_the_policy_of_the_head_decides() -> None:
    policy = TaskRetryPolicy(default_delay=7, dont_auto_retry_for=(KeyError,))
    head = build_head("task", TaskOptions(max_retries=3, retry_policy=policy))
    options = {
        name: getattr(head, name)
        for name in ("flags", "retry_base_ns", "max_retries", "options")
    }

    retried = run(raising(ValueError()), bare_delivery(**options))
    refused = run(raising(KeyError("k")), bare_delivery(**options))

    assert retried.delay_ns == 7 * SECOND
    assert error_of(refused).meta["reason"] == "not-retryable"


def test_what_an_earlier_attempt_asked_for_beats_the_head() -> None:
    delivery = bare_delivery()
    delivery.max_retries = 1
    delivery.load_policy = lambda: TaskRetryPolicy(default_delay=3)

    assert run(raising(ValueError()), delivery).delay_ns == 3 * SECOND


class Linear:
    """A user's strategy; asked only where a delay is needed."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def next_delay(self, attempt: int, error: BaseException, traceback: str) -> float:
        self.asked.append((attempt, type(error).__name__))
        assert "raise exc" in traceback
        return 1.5


def test_a_users_strategy_is_asked_for_the_delay_and_only_for_that() -> None:
    strategy = Linear()

    report = run(raising(ValueError()), bare_delivery(max_retries=1), strategy=strategy)
    run(raising(ValueError()), strategy=strategy)  # no retries: nothing to ask

    assert report.delay_ns == 1.5 * SECOND
    assert strategy.asked == [(0, "ValueError")]


def test_a_broken_strategy_costs_its_delay_and_not_the_retry() -> None:
    class Broken:
        def next_delay(self, attempt: int, error: BaseException, tb: str) -> float:
            raise RuntimeError("oops")

    report = run(raising(ValueError()), bare_delivery(max_retries=1), strategy=Broken())

    assert error_of(report, Kind.RETRY).meta["retryStrategy"] == "RuntimeError: oops"
    assert report.delay_ns > SECOND


def test_a_retry_that_the_handler_asks_for() -> None:
    def handler(context: TaskContext) -> None:
        try:
            context.retry(
                countdown=9,
                max_retries=3,
                retry_policy=TaskRetryPolicy(default_delay=1),
            )
        except Exception:
            raise AssertionError("it must pass every except Exception") from None

    report = run(handler)

    later: Any = error_of(report, Kind.RETRY).meta[NEXT]
    assert report.delay_ns == 9 * SECOND
    assert later["maxRetries"] == 3
    assert TaskRetryPolicy.from_wire(later["retryPolicy"]).default_delay_ns == SECOND


def test_a_requested_retry_beyond_the_last_is_a_failure() -> None:
    def handler(context: TaskContext) -> None:
        context.retry()

    assert error_of(run(handler)).meta["retryExhausted"] is True
