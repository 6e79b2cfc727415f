"""From enqueue to result."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stem_actor import StemApp
from stem_actor.errors import (
    AppNotStarted,
    PayloadError,
    PayloadTooLarge,
    ResultTimeout,
    TaskCancelledError,
    TaskFailedError,
)
from tests.app.conftest import Maker


def test_a_task_returns_its_value(app: StemApp) -> None:
    handle = app.enqueue("add", {"a": 2, "b": 3})

    assert handle.result(timeout=10) == 5


def test_ten_thousand_tasks_come_back_each_with_its_own_value(app: StemApp) -> None:
    add = app.registry.get("add")

    handles = add.map(range(10_000))

    assert [handle.result(timeout=30) for handle in handles] == list(range(10_000))


def test_a_failure_carries_type_message_and_traceback(app: StemApp) -> None:
    handle = app.enqueue("fail", {"message": "no such row"})

    with pytest.raises(TaskFailedError) as caught:
        handle.result(timeout=10)

    assert caught.value.error.type == "ValueError"
    assert caught.value.error.message == "no such row"
    assert "jobs.py" in (caught.value.error.stack or "")
    assert isinstance(caught.value.cause, ValueError)


def test_wait_does_not_raise_for_a_failed_task(app: StemApp) -> None:
    result = app.enqueue("fail", {"message": "x"}).wait(timeout=10)

    assert result.is_failed
    assert result.status is not None
    assert result.status.error is not None


def test_a_wait_that_is_too_short_says_so_and_the_task_goes_on(
    app: StemApp, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    handle = app.enqueue("wait_for", {"path": str(go)})

    with pytest.raises(ResultTimeout):
        handle.result(timeout=0.05)
    go.touch()

    assert handle.result(timeout=10) is None


def test_results_are_awaitable(app: StemApp) -> None:
    async def both() -> list[object]:
        handles = [app.enqueue("add", {"a": n}) for n in range(50)]
        return [await handle for handle in handles]

    assert asyncio.run(both()) == list(range(50))


def test_threads_may_wait_at_the_same_time(app: StemApp) -> None:
    found: list[object] = []

    def work(n: int) -> None:
        found.extend(
            app.enqueue("add", {"a": n, "b": k}).result(timeout=20) for k in range(50)
        )

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(map(int, map(str, found))) == sorted(
        100 * n + k for n in range(4) for k in range(50)
    )


def test_a_large_argument_and_a_large_result_travel_by_the_spool(app: StemApp) -> None:
    large = "x" * 3_000_000

    assert app.enqueue("echo", {"value": large}).result(timeout=20) == large


def test_a_payload_above_the_limit_is_refused_where_it_is_enqueued(
    make_app: Maker,
) -> None:
    with make_app(max_payload=1_000_000) as app, pytest.raises(PayloadTooLarge):
        app.enqueue("echo", {"value": "x" * 2_000_000})


def test_an_argument_without_a_wire_form_names_its_path(app: StemApp) -> None:
    with pytest.raises(PayloadError) as caught:
        app.enqueue("echo", {"value": [{"when": object()}]})

    assert caught.value.path == "args.value[0].when"


def test_enqueue_before_start_and_after_close_says_what_to_do(make_app: Maker) -> None:
    app = make_app()

    with pytest.raises(AppNotStarted):
        app.enqueue("add", {"a": 1})
    with app:
        pass
    with pytest.raises(AppNotStarted):
        app.enqueue("add", {"a": 1})


def test_names_may_hold_whatever_can_be_printed(make_app: Maker) -> None:
    app = make_app()

    # A script called "my jobs.py" gives such names to its tasks.
    @app.task(name="my jobs.größe", queue="am abend")
    def size(text: str) -> int:
        return len(text)

    with app:
        assert size.enqueue("four").result(timeout=10) == 4
        assert app.queue("am abend").pause()


def test_a_revoked_task_never_runs(app: StemApp, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    handle = app.registry.get("journal").with_options(countdown=60).enqueue(str(path))

    assert handle.revoke()

    with pytest.raises(TaskCancelledError):
        handle.result(timeout=10)
    assert not path.exists()


def test_progress_is_seen_while_the_task_runs(app: StemApp, tmp_path: Path) -> None:
    go = tmp_path / "go"
    handle = app.enqueue("progress", {"path": str(go)})

    for _ in range(400):
        handle.wait(timeout=0.02)
        if handle.progress is not None:
            break
    go.touch()
    handle.result(timeout=10)

    assert handle.progress is not None
    assert handle.progress.percent == 50
    assert handle.progress.data == {"step": "half"}


def test_a_handler_may_enqueue(app: StemApp, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    child = app.enqueue("child", {"path": str(path)}).result(timeout=10)

    for _ in range(400):
        status = app.status(str(child))
        if status is not None and status.is_terminal:
            break
        app.enqueue("add", {"a": 1}).result(timeout=10)

    assert status is not None
    assert status.state == "succeeded"
    assert len(path.read_text().splitlines()) == 1


def test_a_grandchild_that_touches_the_runtime_gets_an_error(app: StemApp) -> None:
    assert app.enqueue("use_ring_in_child", {}).result(timeout=10) == [0, 0, 0, 0]


def test_a_child_that_leaves_the_handler_does_not_go_on_as_a_worker(
    app: StemApp,
) -> None:
    assert app.enqueue("leave_in_child", {}).result(timeout=10) == 70
    assert app.enqueue("add", {"a": 1}).result(timeout=10) == 1


def test_a_coroutine_whose_arguments_are_gone_fails_and_does_not_hang(
    make_app: Maker,
) -> None:
    with make_app(with_async=True) as app:
        alength = app.registry.get("alength")
        handle = alength.with_options(countdown=0.3).enqueue("x" * 100_000)
        (spooled,) = app.directory.spool.glob("*.args")
        spooled.unlink()

        result = handle.wait(timeout=10)

    assert result.is_failed
    assert result.status is not None
    assert result.status.error is not None
    assert result.status.error.type == "PayloadError"


def test_a_finished_task_tells_when_it_was_enqueued_and_when_it_ended(
    app: StemApp,
) -> None:
    before = datetime.now(UTC)
    handles = [app.enqueue("add", {"a": 1}), app.enqueue("fail", {"message": "x"})]
    revoked = app.registry.get("add").with_options(countdown=60).enqueue(1)
    revoked.revoke()
    for handle in (*handles, revoked):
        handle.wait(timeout=10)
    after = datetime.now(UTC)

    # A second supervisor reads the same from what the first one has left.
    for _ in range(2):
        for handle in (*handles, revoked):
            status = app.status(handle.id)
            assert status is not None
            assert status.created_at is not None
            assert status.updated_at is not None
            assert before <= status.created_at + _CLOCK_GRAIN
            assert status.created_at <= status.updated_at + _CLOCK_GRAIN
            assert status.updated_at <= after + _CLOCK_GRAIN
        owner = app.directory.owner()
        assert owner is not None
        os.kill(owner, signal.SIGKILL)
        assert app.enqueue("add", {"a": 2}).result(timeout=20) == 2


_CLOCK_GRAIN = timedelta(milliseconds=50)
