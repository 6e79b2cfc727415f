"""What encoders hide of errors, progress and kept meta, and what stays clear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor import (
    AesGcmEncoder,
    TaskContext,
    TaskError,
    TaskFailedError,
    TaskMetadata,
)
from stem_actor.engine.wish import wish_of
from stem_actor.payload.wire import pack_value
from stem_actor.ring.producer import Kind
from stem_actor.tasks.encoded import ENCODED_MAX
from stem_actor.tasks.outcome import (
    KEPT_MAX,
    add_verdict,
    pack_failure,
    read_failure,
    unpack_failure,
    unpack_progress,
    verdict_of,
)
from tests.unit.encoders import (
    Failing,
    Hiding,
    Wrapper,
    live,
    registry,
    same,
    settled,
)
from tests.unit.task_surface import (
    FakeRuntime,
    fresh,
    open_shop,
)


def failing(context: TaskContext, secret: str = "canary") -> None:  # noqa: S107
    context.meta["kept"] = secret
    context.progress(25, {"word": secret})
    raise ValueError(f"it was {secret}")


@pytest.mark.parametrize(("retries", "kind"), [(0, Kind.FAILED), (1, Kind.RETRY)])
def test_message_stack_and_kept_meta_are_encoded_and_the_type_stays_clear(
    retries: int, kind: int
) -> None:
    encoder, task = Wrapper(), fresh(failing, name="failing", max_retries=retries)
    encoders = registry(encoder)
    shop = open_shop(task, encoders=encoders)
    hidden = Hiding()
    other = fresh(failing, name="failing", max_retries=retries)
    hiding = open_shop(other, encoders=registry(hidden))
    task.enqueue()
    other.enqueue()

    report = live(task, shop)
    error, kept = read_failure(report.payload, encoders)
    clear = unpack_failure(report.payload)

    assert report.kind == kind
    assert (error.type, error.message) == ("ValueError", "it was canary")
    assert "it was canary" in (error.stack or "")
    assert kept["kept"] == "canary"
    assert (clear.type, clear.bases[0]) == ("ValueError", "builtins.ValueError")
    assert (clear.message, clear.stack) == ("(encoded by 'wrapper')", None)
    assert clear.verdict is not None
    assert clear.verdict.reason == "raised"
    assert b"canary" not in live(other, hiding).payload


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
ERRORS = st.builds(
    TaskError,
    type=TEXTS,
    message=TEXTS,
    stack=st.none() | TEXTS,
    retryable=st.booleans(),
    meta=st.dictionaries(
        st.sampled_from(["reason", "metaRefused", "retryStrategy"]), TEXTS
    ),
    bases=st.tuples(TEXTS),
)


@pytest.mark.parametrize(
    "encoder", [Wrapper(), AesGcmEncoder({"k": b"k" * 32})], ids=["wrapper", "aes"]
)
@given(error=ERRORS, meta=st.dictionaries(TEXTS, TEXTS | st.integers(0, 9)))
def test_an_error_and_its_meta_come_through_an_encoder_whole(
    encoder: Any, error: TaskError, meta: dict[str, object]
) -> None:
    payload = pack_failure(error, meta=meta, encoder=encoder)
    found, kept = read_failure(payload, registry(encoder))

    mark = {"__stemResultEncoder": encoder.id}
    assert found == replace(error, meta={**error.meta, **mark})
    assert kept == ({**meta, **mark} if meta else {})


def test_a_failed_task_is_read_with_its_error_and_counted_calls() -> None:
    encoder, task = Wrapper(), fresh(failing, name="failing")
    shop = open_shop(task, encoders=registry(encoder))
    runtime = FakeRuntime()
    handle = task.enqueue()
    handle = settled(handle, live(task, shop, runtime))
    handle.progressed(runtime.reports[0])
    encoder.calls.clear()

    with pytest.raises(TaskFailedError, match="ValueError: it was canary") as failed:
        handle.result()

    assert repr(failed.value.cause) == "ValueError('it was canary')"
    assert encoder.calls == ["decode"]
    status = handle.status()
    assert status is not None
    assert status.meta["kept"] == "canary"
    assert status.verdict is not None
    assert "it was canary" in (status.verdict.stack or "")
    assert handle.progress is not None
    assert (handle.progress.percent, handle.progress.data) == (25, {"word": "canary"})


def test_kept_meta_of_a_success_are_encoded_too() -> None:
    def handler(context: TaskContext) -> int:
        context.meta["kept"] = "canary"
        return 1

    task = fresh(handler, name="keeping")
    shop = open_shop(task, encoders=registry(Hiding()))
    handle = task.enqueue()

    report = live(task, shop)
    whole = add_verdict(report.payload, {"reason": "returned", "wallS": 2.5})
    handle.settle(report.kind, 0, 1, whole)
    status = handle.status()

    assert b"canary" not in whole
    assert status is not None
    assert status.meta == {
        "__stemArgsEncoder": "wrapper",
        "__stemResultEncoder": "wrapper",
        "kept": "canary",
    }
    verdict = verdict_of(Kind.SUCCEEDED, whole)
    assert verdict is not None
    assert verdict.wall_s == 2.5


def test_what_an_attempt_asks_of_the_next_ones_stays_readable_to_the_supervisor() -> (
    None
):
    def handler(context: TaskContext) -> None:
        context.retry(countdown=1, max_retries=7)

    task = fresh(handler, name="asking", max_retries=1)
    shop = open_shop(task, encoders=registry(Hiding()))
    task.enqueue()

    report = live(task, shop)

    assert report.kind == Kind.RETRY
    assert wish_of(report.payload).max_retries == 7


def test_without_encoders_an_encoded_outcome_is_left_as_it_is() -> None:
    task = fresh(failing, name="failing")
    shop = open_shop(task, encoders=registry(Wrapper()))
    runtime = FakeRuntime()
    task.enqueue()

    error, kept = read_failure(live(task, shop, runtime).payload, None)
    progress = unpack_progress(runtime.reports[0])

    assert (error.message, kept) == ("(encoded by 'wrapper')", {})
    assert error.meta["__stemResultEncoder"] == "wrapper"
    assert progress.percent == 25
    assert isinstance(progress.data, dict)
    assert list(progress.data) == ["wrapper"]


@pytest.mark.parametrize("blow_up", [2, 40])
def test_an_error_that_encoding_makes_too_large_is_recorded_with_less(
    blow_up: int,
) -> None:
    def handler(context: TaskContext) -> None:
        context.meta["kept"] = "m" * (KEPT_MAX - 100)
        raise ValueError("v" * 1500 + "the end")

    large = Failing(lambda it: pack_value(it) * blow_up, same)
    task = fresh(handler, name="large", metadata=TaskMetadata(result_encoder=large))
    shop = open_shop(task)
    task.enqueue()

    report = live(task, shop)

    assert report.kind == Kind.FAILED
    assert len(report.payload) < ENCODED_MAX + 4096
    clear = unpack_failure(report.payload)
    assert clear.type == "ValueError"
    assert ("not kept" in clear.message) == (blow_up == 40)
