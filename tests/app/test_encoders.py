"""Encoders between processes: each value is encoded once and decoded once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stem_actor import (
    Base64PayloadEncoder,
    EventStream,
    StemApp,
    TaskCall,
    TaskContext,
    TaskFailed,
    TaskFailedError,
    TaskPayloadEncoderRegistry,
    TaskProgress,
)
from stem_actor.observe.subscription import Subscription
from tests.app.conftest import Maker
from tests.app.counting import Counting, calls, calls_elsewhere, calls_here
from tests.app.until import until

ONCE_HERE = {"args encode": 1, "result decode": 1}
ONCE_THERE = {"args decode": 1, "result encode": 1}


@dataclass(frozen=True)
class Counted:
    """An app whose default encoders count, and their journal."""

    app: StemApp
    journal: Path

    @property
    def here(self) -> dict[str, int]:
        return dict(calls_here(self.journal))

    @property
    def elsewhere(self) -> dict[str, int]:
        return dict(calls_elsewhere(self.journal))


@pytest.fixture
def counted(make_app: Maker, tmp_path: Path) -> Iterator[Counted]:
    journal = tmp_path / "calls"
    app = make_app(
        with_async=True,
        args_encoder=Counting(journal, "args"),
        result_encoder=Counting(journal, "result"),
    )
    for handler in (crash_once, have_child, keep_and_fail):
        app.task(name=handler.__name__)(handler)
    with app:
        yield Counted(app, journal)


def crash_once(path: str) -> str:
    if not os.path.exists(path):
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def have_child(context: TaskContext) -> str:
    return context.enqueue("echo", {"value": "from the parent"}).id


def keep_and_fail(context: TaskContext) -> None:
    context.meta["kept"] = 7
    context.progress(50, {"step": "half"})
    raise ValueError("the cause")


@pytest.mark.parametrize("name", ["add", "alength"])
def test_a_call_encodes_and_decodes_each_way_once(counted: Counted, name: str) -> None:
    args = {"a": 1, "b": 2} if name == "add" else {"value": "abc"}

    value = counted.app.enqueue(name, args).result(timeout=10)

    assert value == 3
    assert counted.here == ONCE_HERE
    assert counted.elsewhere == ONCE_THERE


def test_large_values_by_claim_check_are_encoded_once_too(counted: Counted) -> None:
    value = "x" * 300_000

    assert counted.app.enqueue("echo", {"value": value}).result(timeout=10) == value
    assert counted.here == ONCE_HERE
    assert counted.elsewhere == ONCE_THERE


def test_many_at_once_are_encoded_once_each(counted: Counted) -> None:
    app = counted.app
    some_calls = [TaskCall(name="add", args={"a": n}) for n in range(100)]

    handles = app.enqueue_many(some_calls) + app.registry.get("add").map(range(100))

    results: list[Any] = [handle.result(timeout=20) for handle in handles]

    assert sum(results) == 9900
    assert counted.here == {"args encode": 200, "result decode": 200}
    assert counted.elsewhere == {"args decode": 200, "result encode": 200}


def test_awaited_calls_are_encoded_once(counted: Counted) -> None:
    async def call() -> object:
        return await (await counted.app.registry.get("add").aenqueue(5))

    assert asyncio.run(call()) == 5
    assert counted.here == ONCE_HERE
    assert counted.elsewhere == ONCE_THERE


def test_each_attempt_decodes_the_arguments_once_and_encodes_its_error_once(
    counted: Counted,
) -> None:
    value = counted.app.enqueue("fail_until", {"attempts": 2}).result(timeout=10)

    assert value == 2
    assert counted.here == ONCE_HERE
    # Two errors and one result go out.
    assert counted.elsewhere == {"args decode": 3, "result encode": 3}


def test_a_replay_after_a_crash_decodes_what_was_encoded_once(
    counted: Counted, tmp_path: Path
) -> None:
    handle = counted.app.enqueue("crash_once", {"path": str(tmp_path / "crashed")})

    assert handle.result(timeout=20) == "alive"
    assert counted.here == ONCE_HERE
    assert counted.elsewhere == {"args decode": 2, "result encode": 1}


def test_a_dead_letter_is_replayed_as_it_was_encoded(counted: Counted) -> None:
    app = counted.app
    failed = app.enqueue("fail", {"message": "the cause"})
    with pytest.raises(TaskFailedError, match="ValueError: the cause"):
        failed.result(timeout=10)
    letters = app.dead_letters()
    until(lambda: letters.get(failed.id))
    before = calls(counted.journal)["args encode"]

    body = letters.body(failed.id)
    (replay,) = letters.replay()
    until(lambda: letters.get(str(replay.new_id)))
    again = letters.get(str(replay.new_id))

    assert before == calls(counted.journal)["args encode"] == 1
    assert counted.elsewhere == {"args decode": 2, "result encode": 2}
    assert body == [
        {"message": "the cause"}, {"stem-args-encoder": "args"}, {}
    ]  # fmt: skip
    assert again is not None
    assert again.error.message == replay.letter.error.message == "the cause"


def test_a_childs_arguments_are_encoded_in_the_worker(counted: Counted) -> None:
    app = counted.app
    child = str(app.enqueue("have_child").result(timeout=10))
    status = until(lambda: (it := app.status(child)) and it.is_terminal and it)

    assert status.payload == "from the parent"
    assert counted.here == {"args encode": 1, "result decode": 2}
    assert counted.elsewhere == {"args encode": 1, "args decode": 2, "result encode": 2}


def test_a_canvas_hands_encoded_results_on_and_reads_each_once(
    counted: Counted,
) -> None:
    add = counted.app.registry.get("add")

    values = counted.app.canvas.group([add.s(1), add.s(2)]).result(timeout=20)
    total = counted.app.canvas.chain([add.s(5), add.partial(1)]).result(timeout=20)

    assert (values, total) == ([1, 2], 6)
    # Four sets of arguments go out; two results of the group and the chain's last
    # come back. The chain's first is handed on, and decoded by who is handed it.
    assert counted.here == {"args encode": 4, "result decode": 3}
    assert counted.elsewhere == {
        "args decode": 4, "result encode": 4, "result decode": 1
    }  # fmt: skip


def test_errors_and_kept_meta_are_read_by_id_as_by_handle(counted: Counted) -> None:
    handle = counted.app.enqueue("keep_and_fail")
    by_handle = handle.wait(timeout=10).status
    by_id = counted.app.status(handle.id)

    assert by_handle is not None
    assert by_id is not None
    assert by_handle.error == by_id.error
    assert by_id.error is not None
    assert by_id.error.message == "the cause"
    for status in (by_handle, by_id):
        assert status.meta["kept"] == 7
        assert status.meta["__stemResultEncoder"] == "result"


def test_events_are_decoded_and_where_they_cannot_be_the_clear_part_is_told(
    counted: Counted,
) -> None:
    app = counted.app
    with app.events(types=[TaskProgress, TaskFailed]) as events:
        subscription = Subscription(
            app.directory, (TaskProgress, TaskFailed), None,
            encoders=TaskPayloadEncoderRegistry(),
        )  # fmt: skip
        with EventStream(subscription) as others:
            others.until_ready()
            app.enqueue("keep_and_fail").wait(timeout=10)
            known = [next(events), next(events)]
            strange = [next(others), next(others)]

    progress, failed = known
    assert isinstance(progress, TaskProgress)
    assert isinstance(failed, TaskFailed)
    assert (progress.percent, progress.data) == (50, {"step": "half"})
    assert (failed.error.message, failed.meta["kept"]) == ("the cause", 7)
    progress, failed = strange
    assert isinstance(progress, TaskProgress)
    assert isinstance(failed, TaskFailed)
    assert (progress.percent, progress.data) == (50, {"result": {"step": "half"}})
    assert failed.error.type == "ValueError"
    assert "no payload encoder is registered as 'result'" in failed.error.message


def test_another_process_reads_a_result_by_its_id(
    make_app: Maker, tmp_path: Path
) -> None:
    encoder = Base64PayloadEncoder()
    rings = make_app.runtime_dir
    script = f"""
        from stem_actor import Base64PayloadEncoder, StemApp

        app = StemApp(broker="ring://read", runtime_dir={str(rings)!r},
                      additional_encoders=[Base64PayloadEncoder()])
        status = app.status(input())
        print(status.payload, status.meta["__stemResultEncoder"])
        app.close()
    """
    with make_app(broker="ring://read", result_encoder=encoder) as app:
        handle = app.enqueue("echo", {"value": "hello"})
        handle.wait(timeout=10)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            input=handle.id, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert (done.stdout, done.stderr) == ("hello Base64PayloadEncoder\n", "")


def test_a_result_survives_the_supervisor_encoded(counted: Counted) -> None:
    app = counted.app
    handle = app.enqueue("add", {"a": 1})
    handle.wait(timeout=10)
    before = app.directory.owner()
    assert before is not None

    os.kill(before, signal.SIGKILL)
    until(lambda: app.directory.owner() not in (None, before))

    status = app.status(handle.id)
    assert status is not None
    assert status.payload == 1
    assert counted.elsewhere == ONCE_THERE


def test_a_worker_without_the_encoder_refuses_its_tasks_by_name(
    make_app: Maker, tmp_path: Path
) -> None:
    class Foreign(Base64PayloadEncoder):
        id = "foreign"

    with make_app(broker="ring://ids", additional_encoders=[Base64PayloadEncoder()]):
        producer = make_app(broker="ring://ids", args_encoder=Foreign())
        handle = producer.enqueue("fail_until", {"attempts": 0})

        with pytest.raises(TaskFailedError, match="EncoderNotRegistered") as failed:
            handle.result(timeout=10)
        producer.close()

    message = failed.value.error.message
    assert "'foreign'" in message
    assert "known here: Base64PayloadEncoder, json" in message
    assert failed.value.error.meta["reason"] == "bad-arguments"
    assert failed.value.error.meta["attempt"] == 0  # it was not retried


def test_a_lenient_worker_decodes_by_its_default(make_app: Maker) -> None:
    class Foreign(Base64PayloadEncoder):
        id = "foreign"

    settings = {"args_encoder": Base64PayloadEncoder(), "encoder_ids": "lenient"}
    with make_app(broker="ring://ids", **settings):
        producer = make_app(broker="ring://ids", args_encoder=Foreign())
        value = producer.enqueue("echo", {"value": "x"}).result(timeout=10)
        producer.close()

    assert value == "x"
