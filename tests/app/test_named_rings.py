"""A named ring has many producers, queues that can be steered, and one supervisor."""

from __future__ import annotations

import os
import signal
import struct
import time
from pathlib import Path

import pytest

from stem_actor import StemApp, TaskContext
from stem_actor.actor.host.attachment import attach
from stem_actor.errors import BrokerUnavailable, TaskCancelledError
from stem_actor.ring.record import TaskHead
from tests.app.conftest import Maker


def test_another_app_may_enqueue_into_a_running_ring(make_app: Maker) -> None:
    with make_app(broker="ring://shared"):
        producer = make_app(broker="ring://shared")

        value = producer.enqueue("add", {"a": 4, "b": 5}).result(timeout=10)
        producer.close()

    assert value == 9


def test_a_ring_that_nobody_runs_is_refused_with_the_remedy(make_app: Maker) -> None:
    producer = make_app(broker="ring://nobody")

    with pytest.raises(BrokerUnavailable, match="stem-actor worker"):
        producer.enqueue("add", {"a": 1})


def test_a_task_with_an_unknown_name_waits_until_a_worker_knows_it(
    make_app: Maker, tmp_path: Path
) -> None:
    first = make_app(broker="ring://names")
    with first:
        connection = attach(first.directory)
        head = TaskHead(name="newcomer").pack()
        task_id, _ = connection.submit(head, b"\x80", queue="q", timeout_ns=10**9)
        waiting = _until(
            lambda: (
                (status := connection.status(task_id))
                and status.meta.get("waiting") == "no worker knows its name"
            )
        )
        connection.close()

    second = make_app(broker="ring://names")

    @second.task(name="newcomer")
    def newcomer() -> str:
        return "known"

    with second:
        done = _until(
            lambda: (status := second.connection.status(task_id)) and status.is_terminal
        )
        status = second.connection.status(task_id)

    assert waiting
    assert done
    assert status is not None
    assert status.payload == "known"


def test_a_paused_queue_gives_out_nothing_until_it_is_resumed(app: StemApp) -> None:
    app.enqueue("add", {"a": 0}).result(timeout=10)
    queue = app.queue("default")

    assert queue.pause()
    handle = app.enqueue("add", {"a": 1})
    assert handle.wait(timeout=0.2).timed_out
    assert queue.info().is_paused
    assert queue.info().ready == 1
    assert queue.resume()

    assert handle.result(timeout=10) == 1


def test_workers_take_only_tasks_of_their_queues(make_app: Maker) -> None:
    with make_app(queues=["email", "default"]) as app:
        add = app.registry.get("add")

        other = add.with_options(queue="reports").enqueue(1)
        ours = [add.enqueue(2), add.with_options(queue="email").enqueue(3)]

        assert [it.result(timeout=10) for it in ours] == [2, 3]
        assert other.wait(timeout=0.2).timed_out
        assert app.queue("reports").info().ready == 1


def test_a_purged_queue_cancels_what_waits_in_it(app: StemApp) -> None:
    app.enqueue("add", {"a": 0}).result(timeout=10)
    app.queue("default").pause()
    handles = [app.enqueue("add", {"a": n}) for n in range(5)]

    assert app.queue("default").purge() == 5

    with pytest.raises(TaskCancelledError):
        handles[0].result(timeout=10)


def test_the_highest_waiting_priority_is_started_next(make_app: Maker) -> None:
    with make_app(workers=1) as app:
        app.enqueue("add", {"a": 0}).result(timeout=10)
        app.queue("default").pause()
        pid = app.registry.get("journal")
        path = app.directory.path / "order"
        handles = []
        for priority in (0, 9, 4, 7):
            bound = pid.with_options(priority=priority)
            handles.append(bound.enqueue(str(path)))
        _until(lambda: app.queue("default").info().ready == 4)
        app.queue("default").resume()
        ids = {handle.id: p for handle, p in zip(handles, (0, 9, 4, 7), strict=True)}
        for handle in handles:
            handle.result(timeout=10)
        order = [ids[line.split()[0]] for line in path.read_text().splitlines()]

    assert order == [9, 7, 4, 0]


def test_an_expired_task_is_cancelled_and_never_runs(
    app: StemApp, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    app.enqueue("add", {"a": 0}).result(timeout=10)
    app.queue("default").pause()
    handle = app.registry.get("journal").with_options(expires=0.05).enqueue(str(path))

    result = handle.wait(timeout=10)
    app.queue("default").resume()

    assert result.is_cancelled
    assert not path.exists()


def test_the_same_id_twice_runs_once_and_both_handles_see_the_end(
    app: StemApp, tmp_path: Path
) -> None:
    from stem_actor.ids import format_id, new_id

    path = tmp_path / "journal"
    bound = app.registry.get("journal").with_options(task_id=format_id(new_id()))

    first, second = bound.enqueue(str(path)), bound.enqueue(str(path))

    assert first.result(timeout=10) == 0
    assert second.result(timeout=10) == 0
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "changed", [{"slots": 4096}, {"slots": 64}, {"concurrency": 200}, {"workers": 4}]
)
def test_a_named_ring_serves_an_app_with_other_sizes(
    make_app: Maker, changed: dict[str, int]
) -> None:
    with make_app(broker="ring://sizes", slots=256) as first:
        first.enqueue("add", {"a": 1}).result(timeout=10)

    with make_app(broker="ring://sizes", **{"slots": 256, **changed}) as second:
        values = [second.enqueue("add", {"a": n}) for n in range(100)]
        assert [it.result(timeout=10) for it in values] == list(range(100))


@pytest.mark.parametrize("workers", [2, 1])
def test_fewer_workers_lose_nothing_that_more_have_committed(
    make_app: Maker, tmp_path: Path, workers: int
) -> None:
    ready, go, done = tmp_path / "ready", tmp_path / "go", tmp_path / "done"

    def parent(context: TaskContext) -> None:
        _append(ready)
        while not go.exists():
            time.sleep(0.01)
        context.enqueue("journal", {"path": str(done)})

    first = make_app(broker="ring://fewer", workers=4)
    first.task(name="parent")(parent)
    with first:
        owner, guardian = first.directory.owner(), _guardian(first)
        assert owner is not None
        handles = [first.enqueue("parent") for _ in range(4)]
        assert _until(lambda: _lines(ready) == 4)
        # From here on nobody takes what the workers commit.
        os.kill(owner, signal.SIGSTOP)
        go.touch()
        rings = [first.directory.worker_ring(index) for index in range(5)]
        assert _until(lambda: sum(_has_outcome(it) for it in rings) == 4)
        os.kill(guardian, signal.SIGKILL)
        assert _until(lambda: first.directory.owner() is None)
        ids = [handle.id for handle in handles]
    go.unlink()  # a second run of a parent would never end

    second = make_app(broker="ring://fewer", workers=workers)
    second.task(name="parent")(parent)
    with second:
        assert _until(lambda: second.stats()["live"] == 0)
        found = [second.status(task_id) for task_id in ids]

        states = [it and (str(it.state), it.starts) for it in found]
        assert states == [("succeeded", 1)] * 4
        assert _lines(done) == 4
        assert second.enqueue("add", {"a": 1}).result(timeout=10) == 1
        assert len(second.workers()) == workers + 1


def _guardian(app: StemApp) -> int:
    assert app._host is not None
    assert app._host.guardian is not None
    return app._host.guardian.pid


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("x\n")


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def _has_outcome(ring: Path) -> bool:
    """Whether the outbox holds something: its tail and head differ."""
    words = ring.read_bytes()[:1024]
    (tail,), (head,) = (struct.unpack_from("<Q", words, at) for at in (384, 512))
    return bool(tail != head)


def test_a_result_may_be_read_by_another_process(make_app: Maker) -> None:
    with make_app(broker="ring://readers") as app:
        task_id = app.enqueue("add", {"a": 20, "b": 3})
        task_id.result(timeout=10)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                reader = make_app(broker="ring://readers")
                status = reader.status(task_id.id)
                code = 0 if status is not None and status.payload == 23 else 2
            finally:
                os._exit(code)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _until(condition: object, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        os.sched_yield()
    return False
