"""The context: facts, arguments, and requests to the worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from stem_actor.errors import (
    PayloadError,
    TaskNotRegistered,
    TaskRetryRequest,
)
from stem_actor.model.ending import RetryRequested
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.model.version import map_of
from stem_actor.payload.codec import PayloadCodec
from stem_actor.payload.lowering import lower
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.outcome import ProgressSignal, unpack_progress
from tests.unit.task_surface import FakeRuntime, bare_delivery, fresh, open_shop


@dataclass
class Invoice:
    id: str
    copies: int = 1


def context_of(runtime: FakeRuntime | None = None, **args: object) -> TaskContext:
    """Return a context with *args*, of a task that knows one other."""
    shop = open_shop(fresh(name="add"))
    delivery = bare_delivery(queue="mail")
    context = TaskContext("task", delivery, runtime or FakeRuntime(), shop.publisher)
    context.receive(args, {"tenant": "t"}, {"given": 1})
    return context


def test_a_context_tells_the_facts_of_its_start() -> None:
    context = context_of()

    assert context.id == "00000000-0000-0000-0000-000000000000"
    assert (context.name, context.queue, context.attempt) == ("task", "mail", 0)
    assert context.headers == {"tenant": "t"}
    assert context.meta == {"given": 1}


def test_meta_counts_as_written_only_once_it_differs() -> None:
    context = context_of()

    assert context.meta["given"] == 1
    assert context.written_meta is None
    context.meta["kept"] = 2
    assert context.written_meta == {"given": 1, "kept": 2}


def test_arguments_are_read_by_name_and_checked_on_request() -> None:
    context = context_of(n=3, when="2026-01-01T00:00:00Z")

    assert context.arg("n") == 3
    assert context.arg_or("missing", 7) == 7
    assert context.required_arg("n", int) == 3
    assert context.required_arg("when", datetime) == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(KeyError):
        context.arg("missing")
    with pytest.raises(PayloadError, match=r"args\.missing is missing"):
        context.required_arg("missing")
    with pytest.raises(PayloadError, match=r"args\.n"):
        context.required_arg("n", str)


def test_arguments_are_read_as_one_object() -> None:
    context = context_of(__stemPayloadVersion=2, id="a", copies=3)
    codec = PayloadCodec[Invoice](lower, lambda wire: Invoice(wire["id"], 1))

    assert context.args_json(Invoice) == Invoice("a", 3)
    assert context.args_as(codec) == Invoice("a", 1)
    assert context.args_versioned_json(_by_version) == Invoice("a", 2)
    assert context_of(id="a").args_versioned_json(_by_version) == Invoice("a", 1)
    assert context_of(id="a").args_versioned_json(
        _by_version, default_decode_version=7
    ) == Invoice("a", 7)
    assert context.arg_or("copies", 1) == 3
    with pytest.raises(PayloadError, match=r"args\.copies: expected `str`"):
        context.arg_or("copies", "one")
    with pytest.raises(PayloadError, match=r"args: object missing required field `id`"):
        context_of(n=1).args_json(Invoice)


def _by_version(payload: dict[str, Any], version: int) -> Invoice:
    return Invoice(payload["id"], version)


def test_progress_carries_a_dto_and_its_version() -> None:
    runtime = FakeRuntime()
    context = context_of(runtime)

    context.progress_json(10, Invoice("a", 2))
    context.progress_versioned_json(20, Invoice("b", 2), version=3)

    plain, versioned = map(unpack_progress, runtime.reports)
    assert plain.payload_json(Invoice) == Invoice("a", 2)
    assert versioned.payload_versioned_json(_by_version) == Invoice("b", 3)
    assert next(iter(map_of(versioned.data, path="data"))) == "__stemPayloadVersion"


def test_requests_reach_the_worker() -> None:
    runtime = FakeRuntime(left_ns=1_500_000_000)
    context = context_of(runtime)

    context.heartbeat()
    context.extend_lease(2)
    context.progress(12.5, {"step": "smtp"})

    assert runtime.extensions == [0, 2_000_000_000]
    assert unpack_progress(runtime.reports[0]) == ProgressSignal(12.5, {"step": "smtp"})
    assert context.remaining() == 1.5


@pytest.mark.parametrize("percent", [-1, 101, float("nan")])
def test_progress_outside_of_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percent must be in"):
        context_of().progress(percent)


def test_progress_that_cannot_be_packed_names_the_place() -> None:
    with pytest.raises(PayloadError, match=r"data\.when"):
        context_of().progress(1, {"when": {1}})


def test_the_interruption_tells_a_soft_limit_from_a_stop() -> None:
    assert context_of().interruption is None
    assert context_of(FakeRuntime(interruption="soft")).interruption == "soft"
    assert context_of(FakeRuntime(interruption="drain")).interruption == "drain"


def test_retry_raises_what_was_asked_in_nanoseconds() -> None:
    policy = TaskRetryPolicy(default_delay=1)

    with pytest.raises(TaskRetryRequest) as caught:
        context_of().retry(
            countdown=2,
            eta=datetime(1970, 1, 1, 0, 0, 3, tzinfo=UTC),
            retry_policy=policy,
            max_retries=4,
        )

    assert caught.value.request == RetryRequested(
        countdown_ns=2_000_000_000,
        eta_ns=3_000_000_000,
        retry_policy=policy,
        max_retries=4,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"countdown": -1},
        {"eta": datetime(2026, 1, 1)},  # no time zone
        {"max_retries": -1},
        {"time_limit": 0},
        {"time_limit": 1, "soft_time_limit": 2},
        {"soft_time_limit": 4 * 86_400},
    ],
)
def test_a_retry_that_makes_no_sense_is_refused_in_the_handler(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r"must|not|time zone|negative"):
        context_of().retry(**wrong)


def test_a_child_is_enqueued_by_name_and_an_unknown_one_refused() -> None:
    context = context_of()

    assert len(context.spawn("add", {"a": 1}).id) == 36
    with pytest.raises(TaskNotRegistered, match="did you mean 'add'"):
        context.enqueue("ad", {"a": 1})


def test_outside_of_handlers_there_is_no_current_context() -> None:
    assert TaskContext.current() is None
