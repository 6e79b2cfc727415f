"""Handles: values, errors, time-outs, and many at once."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest

from stem_actor import (
    HardTimeLimitExceeded,
    PayloadError,
    ResultTimeout,
    StemError,
    TaskCancelledError,
    TaskExpired,
    TaskFailedError,
    TaskHandle,
    TaskState,
    WorkerLost,
    as_completed,
)
from stem_actor.model.error import TaskError
from stem_actor.ring.producer import Kind
from stem_actor.tasks.exceptions import ExceptionCatalog
from stem_actor.tasks.outcome import (
    OutcomeReader,
    ProgressSignal,
    pack_cancellation,
    pack_failure,
    pack_progress,
    pack_success,
    unpack_cancellation,
    unpack_success,
)
from stem_actor.tasks.result_decoder import result_decoder
from tests.unit.task_surface import FakeSource

ID = bytes(range(16))


class OutOfStock(Exception):
    """An error of the user's."""


@dataclass
class Item:
    name: str


def handle_of(
    source: FakeSource | None = None,
    returns: Any = None,
    exceptions: ExceptionCatalog | None = None,
) -> TaskHandle[Any]:
    decode = None if returns is None else result_decoder(result_type=returns)
    reader = OutcomeReader(decode, exceptions or ExceptionCatalog())
    return TaskHandle(ID, source or FakeSource(), reader)


def failed(error: TaskError, exceptions: ExceptionCatalog | None = None) -> Any:
    handle = handle_of(exceptions=exceptions)
    handle.settle(Kind.FAILED, 2, 3, pack_failure(error))
    return handle


def test_a_result_is_waited_for_once_and_then_kept() -> None:
    source = FakeSource()
    handle = handle_of(source)
    source.attach(1, handle)
    source.outcomes[1] = (Kind.SUCCEEDED, pack_success(7))

    assert not handle.done
    assert handle.result(timeout=2) == 7
    assert handle.result() == 7
    assert source.asked == [("wait", 2_000_000_000)]


def test_a_result_is_raised_to_its_annotation() -> None:
    handle = handle_of(returns=Item)
    handle.settle(Kind.SUCCEEDED, 0, 1, pack_success(Item("a"), returns=Item))

    assert handle.result() == Item("a")
    assert handle.wait().raw_payload == {"name": "a"}


def test_a_result_that_does_not_fit_its_annotation_is_an_error() -> None:
    handle = handle_of(returns=Item)
    handle.settle(Kind.SUCCEEDED, 0, 1, pack_success({"nom": "a"}))

    with pytest.raises(PayloadError, match="result"):
        handle.result()


def test_what_the_handler_wrote_as_meta_stands_in_the_status() -> None:
    handle = handle_of()
    handle.settle(Kind.SUCCEEDED, 1, 2, pack_success(None, meta={"k": 1}))

    status = handle.wait().status

    assert status is not None
    assert (status.meta, status.attempt, status.starts) == ({"k": 1}, 1, 2)
    assert handle.result() is None


@pytest.mark.parametrize(
    "value", [{"__stemResult": 1, "__stemMeta": {}}, {"__stemResult": 1}]
)
def test_a_result_that_looks_like_the_wrapper_comes_back_as_it_was(
    value: object,
) -> None:
    assert unpack_success(pack_success(value)) == (value, {})


def test_a_failure_is_raised_with_its_error_and_the_rebuilt_cause() -> None:
    handle = failed(TaskError.from_exception(ValueError("no")))

    with pytest.raises(TaskFailedError, match="ValueError: no") as caught:
        handle.result()

    assert isinstance(caught.value.cause, ValueError)
    assert str(caught.value.cause) == "no"
    assert caught.value.error.type == "ValueError"


def test_a_users_exception_is_rebuilt_only_once_it_is_registered() -> None:
    error, known = TaskError.from_exception(OutOfStock("tea")), ExceptionCatalog()
    known.add(OutOfStock)

    with pytest.raises(TaskFailedError) as unknown:
        failed(error).result()
    with pytest.raises(TaskFailedError) as rebuilt:
        failed(error, known).result()

    assert unknown.value.cause is None
    assert isinstance(rebuilt.value.cause, OutOfStock)


def test_only_exception_classes_can_be_registered() -> None:
    with pytest.raises(TypeError, match="is no exception class"):
        ExceptionCatalog().add(KeyboardInterrupt)  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [HardTimeLimitExceeded, WorkerLost])
def test_limits_and_lost_workers_have_errors_of_their_own(cls: type[Any]) -> None:
    error = TaskError(type=cls.__name__, bases=(f"stem_actor.errors.{cls.__name__}",))

    with pytest.raises(cls):
        failed(error).result()


def test_waiting_for_a_failed_task_raises_nothing() -> None:
    result = failed(TaskError(type="E", message="m")).wait()

    assert result.is_failed
    assert result.status.error.message == "m"
    assert result.value_or(1) == 1


def test_a_cancellation_tells_its_reason_and_an_empty_one_means_expired() -> None:
    revoked, expired = handle_of(), handle_of()
    revoked.settle(Kind.CANCELLED, 0, 0, pack_cancellation("revoked", "by Eve"))
    expired.settle(Kind.CANCELLED, 0, 0, b"")

    with pytest.raises(TaskCancelledError, match=r"revoked \(by Eve\)"):
        revoked.result()
    with pytest.raises(TaskExpired):
        expired.result()
    status = revoked.wait().status
    assert status is not None
    assert status.state is TaskState.CANCELLED
    assert status.meta == {"reason": "revoked", "detail": "by Eve"}
    assert unpack_cancellation(pack_cancellation("stopped")) == ("stopped", None)


def test_a_wait_that_is_over_raises_or_says_so() -> None:
    handle = handle_of()

    with pytest.raises(ResultTimeout, match=r"within 0\.5 s"):
        handle.result(timeout=0.5)
    assert handle.wait(timeout=0.5).timed_out
    assert not handle.done


def test_only_the_first_outcome_stands() -> None:
    handle = handle_of()

    handle.settle(Kind.SUCCEEDED, 0, 1, pack_success(1))
    handle.settle(Kind.SUCCEEDED, 0, 1, pack_success(2))

    assert handle.result() == 1


def test_an_id_that_was_used_before_is_said_to_be_so() -> None:
    handle = handle_of()
    handle.settle(Kind.DUPLICATE, 0, 0, b"")

    with pytest.raises(StemError, match="was enqueued before"):
        handle.result()


def test_the_last_progress_is_kept() -> None:
    handle = handle_of()
    assert handle.progress is None

    handle.progressed(pack_progress(10))
    handle.progressed(pack_progress(20, [1]))

    assert handle.progress == ProgressSignal(20, [1])


def test_status_and_revoke_ask_the_source_while_the_task_lives() -> None:
    source = FakeSource()
    handle = handle_of(source)

    assert handle.status() is None
    assert handle.revoke(terminate=True, reason="r")

    assert source.asked == [("status", ID), ("revoke", (ID, True, "r"))]


def test_a_handle_is_awaited_with_or_without_a_bound() -> None:
    source = FakeSource()
    handle, late = handle_of(source), handle_of(source)
    source.attach(1, handle)
    source.outcomes[1] = (Kind.SUCCEEDED, pack_success("x"))

    async def main() -> tuple[Any, Any, bool]:
        waited = await late.await_(timeout=1)
        return await handle, await handle.aresult(), waited.timed_out

    assert asyncio.run(main()) == ("x", "x", True)


def test_handles_are_yielded_in_the_order_of_their_ends() -> None:
    source = FakeSource()
    handles = [handle_of(source) for _ in range(3)]
    source.attach_many(1, handles)
    handles[1].settle(Kind.SUCCEEDED, 0, 1, pack_success(1))
    for ticket in (3, 1):
        source.outcomes[ticket] = (Kind.SUCCEEDED, pack_success(ticket))

    assert [*as_completed(handles)] == [handles[1], handles[2], handles[0]]


def test_a_handle_given_twice_is_yielded_once() -> None:
    handle = handle_of()
    handle.settle(Kind.SUCCEEDED, 0, 1, pack_success(1))

    assert [*as_completed([handle, handle])] == [handle]


def test_as_completed_is_bounded_as_a_whole() -> None:
    with pytest.raises(ResultTimeout):
        [*as_completed([handle_of()], timeout=0)]


def test_as_completed_takes_the_handles_of_one_app() -> None:
    with pytest.raises(ValueError, match="of one app"):
        as_completed([handle_of(), handle_of()])


def test_a_handle_settled_while_it_begins_to_be_watched_is_not_lost() -> None:
    """Settled between the two steps of watching, in either order."""

    class Settling(TaskHandle[Any]):
        def _watch(self, watcher: deque[TaskHandle[Any]]) -> None:
            self.settle(Kind.SUCCEEDED, 0, 1, pack_success(1))
            super()._watch(watcher)
            super()._watch(watcher)  # appended twice, yielded once

    source = FakeSource()
    handle = Settling(ID, source, OutcomeReader(None, ExceptionCatalog()))

    assert [*as_completed([handle], timeout=5)] == [handle]
    assert source.asked == []
