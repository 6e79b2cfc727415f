"""Encoders that fail, are hostile, or are not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stem_actor import (
    EncoderNotRegistered,
    PayloadError,
    SettingsError,
    StemApp,
    TaskContext,
    TaskMetadata,
    TaskPayloadEncoderRegistry,
)
from stem_actor.payload.wire import pack_value, unpack
from stem_actor.ring.producer import Kind
from stem_actor.tasks.outcome import (
    pack_progress,
    read_failure,
    unpack_failure,
    unpack_success,
)
from tests.unit.encoders import (
    Failing,
    Wrapper,
    live,
    raising,
    registry,
    same,
    settled,
)
from tests.unit.task_surface import (
    add,
    fresh,
    open_shop,
)


def test_an_encoder_that_fails_at_the_enqueue_is_named_there() -> None:
    task = fresh(name="add")
    shop = open_shop(task, encoders=registry(Failing(raising, same)))

    with pytest.raises(PayloadError, match=r"args cannot be encoded.*'failing'") as e:
        task.enqueue(1)

    assert "secret" not in str(e.value)
    assert isinstance(e.value.__cause__, RuntimeError)
    assert shop.submitter.sent == []


def test_an_argument_without_a_wire_form_is_named_and_not_the_encoder() -> None:
    def handler(values: Any) -> None:
        return None

    task = fresh(handler, name="any")
    open_shop(task, encoders=registry(Wrapper()))

    with pytest.raises(PayloadError, match=r"args\.values\[1\] is a builtins\.object"):
        task.enqueue([1, object()])


def test_what_an_encoder_makes_must_have_a_wire_form() -> None:
    task = fresh(name="add")
    open_shop(task, encoders=registry(Failing(lambda _: {1: object()}, same)))

    with pytest.raises(PayloadError, match="'failing' has made a dict of it"):
        task.enqueue(1)


@pytest.mark.parametrize(
    ("decode", "why"),
    [
        (raising, "'failing': RuntimeError"),
        (lambda _: [1], "no map of arguments"),
        (lambda _: {1: 2}, "no map of arguments"),
    ],
)
def test_arguments_that_cannot_be_decoded_fail_the_task_for_good(
    decode: Callable[[Any], object], why: str
) -> None:
    task = fresh(
        name="add",
        max_retries=3,
        metadata=TaskMetadata(args_encoder=Failing(same, decode)),
    )
    shop = open_shop(task)
    task.enqueue(1)

    report = live(task, shop)

    error = unpack_failure(report.payload)
    assert (report.kind, error.type) == (Kind.FAILED, "PayloadError")
    assert error.meta["reason"] == "bad-arguments"
    assert why in error.message
    assert "secret" not in error.message


def test_none_that_was_decoded_means_no_arguments() -> None:
    def handler() -> int:
        return 7

    task = fresh(handler, name="none")
    shop = open_shop(task, encoders=registry(Failing(same, lambda _: None)))
    task.enqueue()

    assert live(task, shop).kind == Kind.SUCCEEDED


@pytest.mark.parametrize("encode", [raising, lambda _: object(), lambda _: {1: 2}])
def test_a_result_that_cannot_be_encoded_fails_the_task_and_shows_nothing(
    encode: Callable[[Any], object],
) -> None:
    def handler() -> str:
        return "canary"

    task = fresh(
        handler,
        name="refused",
        max_retries=3,
        metadata=TaskMetadata(result_encoder=Failing(encode, same)),
    )
    shop = open_shop(task)
    task.enqueue()

    report = live(task, shop)

    error = unpack_failure(report.payload)
    assert (report.kind, error.type) == (Kind.FAILED, "PayloadError")
    assert error.meta["reason"] == "bad-result"
    assert "the encoder 'failing'" in error.message
    assert b"canary" not in report.payload


@pytest.mark.parametrize("kept", [{}, {"kept": "canary"}])
def test_an_error_that_cannot_be_encoded_keeps_its_type_and_is_retried(
    kept: dict[str, object],
) -> None:
    def handler(context: TaskContext) -> None:
        context.meta.update(kept)
        raise ValueError("canary")

    encoder = Failing(raising, same)
    task = fresh(
        handler, name="f", max_retries=1, metadata=TaskMetadata(result_encoder=encoder)
    )
    shop = open_shop(task)
    task.enqueue()

    report = live(task, shop)

    error = unpack_failure(report.payload)
    assert (report.kind, error.type) == (Kind.RETRY, "ValueError")
    assert error.message.startswith("(not kept: error cannot be encoded")
    assert b"canary" not in report.payload


def test_kept_meta_without_a_wire_form_never_hide_the_error() -> None:
    def handler(context: TaskContext) -> None:
        context.meta["kept"] = object()
        raise ValueError("the cause")

    encoders = registry(Wrapper())
    task = fresh(handler, name="odd")
    shop = open_shop(task, encoders=encoders)
    task.enqueue()

    error, kept = read_failure(live(task, shop).payload, encoders)

    assert error.message == "the cause"
    assert "meta.kept" in str(error.meta["metaRefused"])
    assert "metaRefused" not in unpack_failure(live(task, shop).payload).meta
    assert kept == {}


@pytest.mark.parametrize("is_lenient", [False, True])
def test_an_unknown_encoder_is_refused_or_replaced_by_the_default(
    is_lenient: bool,
) -> None:
    sending, taking = fresh(name="add"), fresh(name="add")
    shop = open_shop(sending, encoders=registry(Wrapper("one")))
    sending.enqueue(1)
    default = Failing(same, lambda it: unpack(it["one"]))
    other = open_shop(
        taking,
        encoders=TaskPayloadEncoderRegistry(
            default, None, ids="lenient" if is_lenient else "strict"
        ),
    )
    other.submitter.sent.append(shop.last)

    report = live(taking, other)

    if is_lenient:
        assert (report.kind, unpack(report.payload)) == (Kind.SUCCEEDED, 3)
    else:
        error = unpack_failure(report.payload)
        assert (report.kind, error.type) == (Kind.FAILED, "EncoderNotRegistered")
        assert "'one'" in error.message
        assert "known here: failing, json" in error.message


def test_a_result_of_an_unknown_encoder_is_refused_where_it_is_read() -> None:
    task, reader = fresh(name="add"), fresh(name="add")
    shop = open_shop(task, encoders=registry(Wrapper("one")))
    open_shop(reader)
    task.enqueue(1)
    handle = settled(reader.enqueue(1), live(task, shop))

    for read in (handle.result, handle.wait, handle.status):
        with pytest.raises(EncoderNotRegistered, match="'one'"):
            read()


@pytest.mark.parametrize(
    "wire",
    [
        {"__stemResult": 1, "__stemEncoded": 5},
        {"__stemResult": 1, "__stemEncoded": []},
        {"__stemResult": 1, "__stemEncoded": [7]},
    ],
)
def test_a_mark_that_is_none_is_refused(wire: object) -> None:
    with pytest.raises(PayloadError, match="does not name its encoder"):
        unpack_success(pack_value(wire), registry(Wrapper()))


@pytest.mark.parametrize("hidden", [5, {}, {"message": 5}, {"message": "m"}])
def test_an_error_that_decodes_to_something_else_is_refused(hidden: object) -> None:
    wire = {"type": "T", "__stemEncoded": ["failing", hidden]}
    encoders = registry(Failing(same, same))

    with pytest.raises(PayloadError):
        read_failure(pack_value(wire), encoders)


def test_a_users_map_that_looks_like_an_encoded_result_comes_through() -> None:
    value = {"__stemResult": 1, "__stemEncoded": ["wrapper"]}

    def handler() -> Any:
        return value

    for encoders in (None, registry(Wrapper())):
        task = fresh(handler, name="odd")
        shop = open_shop(task, encoders=encoders)
        handle = task.enqueue()

        assert settled(handle, live(task, shop)).result() == value


def test_progress_that_cannot_be_encoded_is_an_error_of_the_call() -> None:
    with pytest.raises(PayloadError, match="data cannot be encoded"):
        pack_progress(5, {"a": 1}, Failing(raising, same))


def test_two_tasks_whose_encoders_share_an_id_and_differ_are_refused_with_their_place(
    tmp_path: Any,
) -> None:
    app = StemApp(runtime_dir=tmp_path)
    one, two = Wrapper("mine"), Wrapper("mine")
    two.calls.append("different")
    app.task(name="one", metadata=TaskMetadata(args_encoder=one))(add)

    with pytest.raises(SettingsError, match=r"task_surface\.py:\d+: task two: two pay"):
        app.task(name="two", metadata=TaskMetadata(args_encoder=two))(add)


def test_an_app_refuses_what_is_no_encoder_with_its_other_problems(
    tmp_path: Any,
) -> None:
    settings: Any = {"args_encoder": 5, "workers": 0, "runtime_dir": tmp_path}

    with pytest.raises(SettingsError) as refused:
        StemApp(**settings)

    assert len(refused.value.problems) == 2
    assert "int has no encode method" in str(refused.value)
