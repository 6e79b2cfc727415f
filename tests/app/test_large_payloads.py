"""Payloads by the spool: what decoding may cost, and the names of their files."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from stem_actor import StemApp
from stem_actor.engine.lane import RingLane
from stem_actor.errors import PayloadError, TaskFailedError
from stem_actor.payload.wire import MAX_DEPTH, MAX_NODES
from tests.app.conftest import Maker

#: Far below what travels in the ring, and far above it.
INLINE, SPOOLED = 1, 200_000


def nested(levels: int) -> object:
    value: object = None
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("size", [INLINE, SPOOLED])
def test_arguments_that_are_too_deep_are_refused_where_they_are_enqueued(
    app: StemApp, size: int
) -> None:
    value = {"data": b"x" * size, "tree": nested(MAX_DEPTH)}

    with pytest.raises(PayloadError, match="nested more than 64 levels") as caught:
        app.enqueue("echo", {"value": value})

    assert (caught.value.path or "").startswith("args.value.tree")


def test_arguments_of_too_many_values_are_refused_where_they_are_enqueued(
    app: StemApp,
) -> None:
    value = {"few": [1], "many": [1] * MAX_NODES}

    with pytest.raises(PayloadError, match=r"more than 100,000 values") as caught:
        app.enqueue("echo", {"value": value})

    assert caught.value.path == "args.value.many"
    assert list(app.directory.spool.iterdir()) == []


@pytest.mark.parametrize("size", [INLINE, SPOOLED])
def test_what_enqueue_accepts_the_worker_accepts(app: StemApp, size: int) -> None:
    # Two levels and some values less: those of the arguments, and of `value`.
    most = {"data": b"x" * size, "tree": nested(MAX_DEPTH - 2), "many": [1] * 99_900}
    if size == INLINE:
        del most["many"]

    lane = app.registry.get("size_of")
    plain = lane.enqueue(most).result(timeout=20)
    with_meta = app.enqueue("size_of", {"value": most}, meta={"a": [[1]]})

    assert plain == with_meta.result(timeout=20) == len(most)


@pytest.mark.parametrize(
    "value",
    [{"many": [1] * 2 * MAX_NODES}, {"tree": nested(200)}],
    ids=["many", "deep"],
)
@pytest.mark.parametrize("size", [INLINE, SPOOLED])
def test_a_body_of_another_writer_is_scanned_in_the_worker(
    app: StemApp, value: dict[str, object], size: int
) -> None:
    echo = app.registry.get("echo")
    lane = echo.dispatcher.lane(echo)
    assert isinstance(lane, RingLane)
    packed = msgspec.msgpack.encode({"value": {**value, "data": b"x" * max(size, 300)}})
    frame = lane.frame(None, None, None)

    handle = lane._send(frame, packed, 5 * 10**9)

    with pytest.raises(TaskFailedError, match="the body was refused") as caught:
        handle.result(timeout=20)
    assert caught.value.error.meta["reason"] == "bad-arguments"


def test_a_result_of_too_many_values_fails_its_task(app: StemApp) -> None:
    with pytest.raises(TaskFailedError, match="result has more than 100,000 values"):
        app.enqueue("many", {"count": MAX_NODES}).result(timeout=20)

    few = app.enqueue("many", {"count": MAX_NODES - 1}).result(timeout=20)
    assert few == [0] * (MAX_NODES - 1)


def test_the_end_of_a_task_removes_its_own_file_and_no_other(
    make_app: Maker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with make_app(workers=1) as app:
        app.enqueue("wait_for", {"path": str(go)})
        handle = app.enqueue("echo", {"value": b"x" * SPOOLED})
        spool = app.directory.spool
        (own,) = spool.iterdir()
        token = own.name.split(".")[1]
        other = spool / own.name.replace(token, "0" * 8)
        other.touch()

        go.touch()
        handle.result(timeout=20)

        deadline = app.enqueue("wait_for_none", {"path": str(own)})
        assert deadline.result(timeout=20) is None
        assert other.exists()


def full_of_results(app: StemApp) -> Path:
    """A result of another task that takes the whole quota; it has no bytes on disk."""
    path = app.directory.spool / f"{0:032x}.1.out"
    path.touch(mode=0o600)
    os.truncate(path, 2 << 30)
    return path


def test_a_large_result_waits_for_room_among_the_results(app: StemApp) -> None:
    value = "x" * SPOOLED
    other = full_of_results(app)

    handle = app.enqueue("echo", {"value": value})
    has_waited = handle.wait(timeout=0.5).timed_out
    small = app.enqueue("echo", {"value": "y"}).result(timeout=20)
    other.unlink()

    assert has_waited
    assert small == "y"
    assert handle.result(timeout=20) == value


def test_a_large_result_that_finds_no_room_fails_its_task_and_says_why(
    app: StemApp,
) -> None:
    full_of_results(app)

    handle = app.enqueue("echo", {"value": "x" * SPOOLED})

    with pytest.raises(TaskFailedError, match="which is all they may") as caught:
        handle.result(timeout=30)
    assert caught.value.error.meta["reason"] == "bad-result"
    assert app.enqueue("echo", {"value": "y"}).result(timeout=20) == "y"
