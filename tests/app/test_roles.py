"""Stem, StemClient and Worker: producers without processes, and who runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from stem_actor import (
    AppNotStarted,
    RingInUse,
    SettingsError,
    Stem,
    StemApp,
    StemClient,
    StemError,
    TaskEnqueuer,
    TaskNotRegistered,
    TaskResultCaller,
    TaskRetried,
    TaskState,
    Worker,
    WorkerConfig,
    WorkerLifecycle,
)
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy
from tests.app import contract, handlers, jobs
from tests.app.contract import Invoice, Receipt
from tests.app.until import until
from tests.imports import ROOT

SMALL: dict[str, Any] = {"workers": 1, "slots": 1024, "arena_bytes": 4 << 20}


@pytest.fixture
def rings(tmp_path: Path) -> Path:
    path = tmp_path / "rings"
    path.mkdir(mode=0o700)
    return path


def no_ring_is_left(rings: Path) -> bool:
    return not [path for path in rings.iterdir() if path.name.startswith("anon-")]


def test_a_stem_starts_nothing_until_a_worker_of_it_does(rings: Path) -> None:
    stem = Stem([jobs.add, handlers.PublishInvoice()], runtime_dir=rings, **SMALL)
    with pytest.raises(AppNotStarted):
        stem.enqueue("tests.app.jobs.add", {"a": 1})
    assert list(rings.iterdir()) == []

    with Worker(stem) as worker:
        value = stem.enqueue("tests.app.jobs.add", {"a": 1, "b": 2}).result(timeout=20)
        receipt = contract.PUBLISH.enqueue_and_wait(stem, Invoice("a", 3), timeout=20)
        assert worker.is_started
        found = stem.status(receipt.task_id)

    assert value == 3
    assert receipt.required_value() == Receipt("a", 3)
    assert found is not None
    assert found.payload_json(Receipt) == Receipt("a", 3)
    with pytest.raises(AppNotStarted):
        stem.enqueue("tests.app.jobs.add", {"a": 1})
    assert no_ring_is_left(rings)


def test_a_stem_of_a_named_ring_produces_for_whoever_runs_it(rings: Path) -> None:
    place: dict[str, Any] = {"broker": "ring://shop", "runtime_dir": rings}
    consumer = Stem([jobs.add], **place, **SMALL)
    producer = Stem(**place)

    second = Worker(Stem([jobs.add], **place, **SMALL))
    with Worker(consumer):
        value = producer.enqueue("tests.app.jobs.add", {"a": 2}).result(timeout=20)
        with pytest.raises(RingInUse) as caught:
            second.start()
        owner = consumer.app.directory.owner()
    producer.close()

    assert value == 2
    assert caught.value.pid == owner


def test_a_worker_takes_its_queues_tasks_and_config(rings: Path) -> None:
    stem = Stem(runtime_dir=rings, **{**SMALL, "workers": 3})
    strategy = ExponentialJitterRetryStrategy(base=0.001, max=0.002)
    config = WorkerConfig(
        retry_strategy=strategy, lifecycle=WorkerLifecycle(grace=2), concurrency=4
    )

    with pytest.raises(SettingsError, match="workers must be in"):
        Worker(stem, workers=0)
    worker = Worker(stem, [jobs.add], queues=["mail"], workers=2, config=config)

    settings = stem.app.settings
    assert (settings.workers, settings.queues) == (2, ("mail",))
    assert (settings.concurrency, settings.retry_strategy) == (4, strategy)
    assert settings.runtime_dir == str(rings)
    with worker:
        skipped = stem.enqueue("tests.app.jobs.add", {"a": 1})
        done = stem.enqueue("tests.app.jobs.add", {"a": 1}, options={"queue": "mail"})
        assert done.result(timeout=20) == 1
        status = skipped.status()
        with pytest.raises(SettingsError, match="the app is started"):
            Worker(stem)
        with pytest.raises(StemError, match="started already"):
            worker.start()
    assert status is not None
    assert status.state == TaskState.QUEUED


@pytest.mark.parametrize(("mode", "started"), [("warm", True), ("hard", False)])
def test_a_shutdown_gives_running_tasks_what_its_mode_says(
    rings: Path, mode: Any, started: bool
) -> None:
    stem = Stem([jobs.nap], runtime_dir=rings, **SMALL)
    with Worker(stem) as worker:
        handle = stem.enqueue("tests.app.jobs.nap", {"seconds": 0.7})
        until(lambda: (it := handle.status()) and it.state == TaskState.RUNNING)
        with pytest.raises(ValueError, match="mode must be"):
            worker.shutdown("cold")  # type: ignore[arg-type]

        report = worker.shutdown(mode)

    assert report.cancelled == int(not started), "the ring ends with its owner"
    assert not worker.is_started


def test_run_blocks_until_another_thread_shuts_down(rings: Path) -> None:
    stem = Stem([jobs.add], runtime_dir=rings, **SMALL)
    worker = Worker(stem)
    worker.start()
    timer = threading.Timer(0.2, worker.shutdown, args=("soft",))
    timer.start()

    worker.run()

    timer.join()
    assert not worker.is_started
    assert no_ring_is_left(rings)


PROGRAM = """
    import sys
    from stem_actor import Stem, Worker
    from tests.app import jobs

    stem = Stem([jobs.nap], broker="ring://run", runtime_dir=sys.argv[1], workers=1,
                slots=256, arena_bytes=1 << 20)
    if __name__ == "__main__":
        report = Worker(stem).run()
        print("finished", report.finished, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_drains_at_a_signal(rings: Path, tmp_path: Path, number: int) -> None:
    program = tmp_path / "program.py"
    program.write_text("\n".join(line[4:] for line in PROGRAM.splitlines()))
    process = subprocess.Popen(
        [sys.executable, str(program), str(rings)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stem = Stem(broker="ring://run", runtime_dir=rings)
        until(lambda: stem.app.directory.owner())
        handle = stem.enqueue("tests.app.jobs.nap", {"seconds": 0.3})
        until(lambda: (it := stem.status(handle.id)) and it.state == TaskState.RUNNING)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        stem.close()
    finally:
        process.kill()
        process.communicate()

    assert (process.returncode, output) == (0, "finished 1\n")


def test_what_a_module_holds_is_imported_at_the_first_unknown_name(
    rings: Path,
) -> None:
    place: dict[str, Any] = {"broker": "ring://shop", "runtime_dir": rings}
    consumer = Stem([jobs.add, handlers.PublishInvoice(), *handlers.TASKS], **place,
                    **SMALL)  # fmt: skip
    producer = Stem(imports=["tests.app.contract", "tests.app.imported"], **place)

    with Worker(consumer):
        by_definition = producer.enqueue("invoice.publish", {"id": "a", "cents": 1})
        by_task = producer.enqueue("imported", {"n": 2})
        with pytest.raises(TaskNotRegistered, match="did you mean 'imported'"):
            producer.enqueue("importd")
        with pytest.raises(TypeError):
            producer.enqueue("imported", {"m": 2})
        assert by_definition.result(timeout=20) == Receipt("a", 1)
        assert by_task.status() is not None
    producer.close()

    with Worker(Stem(imports=["tests.app.imported"], runtime_dir=rings, **SMALL)) as w:
        stem = w.stem
        assert stem.enqueue("imported", {"n": 2}).result(timeout=20) == 4
        assert stem.enqueue("imported.handler", {}).result(timeout=20) == "handled"


# --- client


def test_a_client_makes_an_app_that_starts_with_its_first_enqueue(rings: Path) -> None:
    with StemClient.in_memory(
        [handlers.PublishInvoice()], runtime_dir=rings, **SMALL
    ) as client:
        app = client.create_app()
        assert not app.is_started

        result = contract.PUBLISH.enqueue_and_wait(app, Invoice("inv_42"), timeout=20)

        assert result.is_succeeded
        assert app.is_started
        assert client.create_app() is app
        again = client.wait_for_task(result.task_id, decode_json=Receipt)
        assert again.value == Receipt("inv_42", 0)
        app.close()
        with pytest.raises(AppNotStarted, match="the app is closed"):
            contract.PUBLISH.enqueue(app, Invoice("late"))

    assert no_ring_is_left(rings)


def test_an_app_of_a_client_is_a_context_manager_too(rings: Path) -> None:
    client = StemClient.in_memory([jobs.add], runtime_dir=rings, **SMALL)

    with client.create_app() as app:
        assert app.is_started
        handle = client.enqueue("tests.app.jobs.add", {"a": 1})
        assert handle.result(timeout=20) == 1

    client.close()
    assert no_ring_is_left(rings)


def test_a_client_enqueues_without_handlers_to_the_worker_of_another(
    rings: Path,
) -> None:
    place: dict[str, Any] = {"broker": "ring://shop", "runtime_dir": rings}
    consumer = StemClient.create([handlers.PublishInvoice()], **place, **SMALL)
    producer = StemClient.create(**place)

    with consumer, producer, consumer.create_worker(workers=1):
        by_name = producer.enqueue_and_wait(
            "invoice.publish",
            {"id": "a", "cents": 2},
            timeout=20,
            options={"queue": "billing"},
        )
        other = StemClient.create(**place)
        elsewhere = other.create_app()
        typed = contract.PUBLISH.enqueue_and_wait(elsewhere, Invoice("b"), timeout=20)

    assert by_name.value == {"number": "a", "total": 2}
    assert typed.required_value() == Receipt("b", 0)
    assert not elsewhere.is_started
    other.close()


def test_a_client_in_memory_has_no_broker() -> None:
    with pytest.raises(SettingsError, match=r"has no broker; use StemClient\.create"):
        StemClient.in_memory(broker="ring://x")


def test_every_role_is_an_enqueuer_and_a_caller() -> None:
    for role in (Stem(), StemApp(), StemClient.in_memory()):
        enqueuer: TaskEnqueuer = role
        caller: TaskResultCaller = role
        assert callable(enqueuer.enqueue_call)
        assert callable(caller.wait_for_task)


def test_a_worker_tells_its_events(rings: Path) -> None:
    stem = Stem(runtime_dir=rings, **SMALL)
    strategy = ExponentialJitterRetryStrategy(base=0.001, max=0.01)
    tasks = [stem.task(name="again", max_retries=1)(jobs.fail_until)]
    config = WorkerConfig(retry_strategy=strategy)

    with Worker(stem, tasks, config=config) as worker:
        with worker.events(types=[TaskRetried]) as events:
            handle = stem.enqueue("again", {"attempts": 1})
            begun = time.monotonic()
            event = next(iter(events))
        handle.result(timeout=20)

    assert event.task_id == handle.id  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 60
