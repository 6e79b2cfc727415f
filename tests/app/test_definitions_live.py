"""Definitions, class handlers and versions, with real workers and other processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stem_actor import (
    PayloadError,
    StemApp,
    TaskCall,
    TaskNotRegistered,
    TaskState,
)
from stem_actor.ids import format_id, new_id
from tests.app import contract, handlers
from tests.app.conftest import Maker
from tests.app.contract import Invoice, Receipt
from tests.app.until import until
from tests.imports import ROOT


@pytest.fixture
def shop(make_app: Maker) -> Iterator[StemApp]:
    """A named ring, run with the handlers of ``handlers``."""
    app = handlers.add_handlers(make_app(broker="ring://shop"))
    with app:
        yield app


@pytest.fixture
def producer(shop: StemApp, make_app: Maker) -> Iterator[StemApp]:
    """An app without any task, attached to that ring."""
    app = StemApp(broker="ring://shop", runtime_dir=make_app.runtime_dir)
    yield app
    app.close()


def test_a_class_handler_runs_by_its_definition(shop: StemApp) -> None:
    handle = contract.PUBLISH.enqueue(shop, Invoice("inv_42", 7))

    assert handle.result(timeout=20) == Receipt("inv_42", 7)
    assert handle.progress is not None
    assert handle.progress.payload_json(Invoice) == Invoice("inv_42", 7)
    result = contract.PUBLISH.enqueue_and_wait(shop, Invoice("b"), timeout=20)
    assert result.required_value() == Receipt("b", 0)
    assert result.payload_json(Receipt) == Receipt("b", 0)


def test_an_async_class_handler_reads_and_writes_versions(shop: StemApp) -> None:
    result = contract.TOTAL.enqueue_and_wait(shop, Invoice("a", 5), timeout=20)

    assert result.required_value() == 10
    stored: Any = result.raw_payload
    assert list(stored) == ["__stemPayloadVersion", "cents"]


@pytest.mark.parametrize("kind", ["data", "attrs", "struct", "typed", "model"])
def test_every_kind_of_dto_is_argument_and_result(shop: StemApp, kind: str) -> None:
    task = shop.registry.get(f"note.{kind}")
    cls = {
        "data": contract.DataNote,
        "attrs": contract.AttrsNote,
        "struct": contract.StructNote,
        "typed": contract.TypedNote,
        "model": contract.ModelNote,
    }[kind]

    direct = task.enqueue(cls(text="a", tags=["t"])).result(timeout=20)
    by_name = shop.enqueue_json(task.name, cls(text="b", tags=[])).result(timeout=20)

    assert direct == cls(text="A", tags=["t"])
    assert by_name == cls(text="B", tags=[])


def test_dtos_inside_of_containers_come_through(shop: StemApp) -> None:
    result = handlers.of_many.enqueue(
        [contract.ModelNote(text="a", tags=[])],
        extra={"k": contract.DataNote("b", ["t"])},
    ).result(timeout=20)

    assert result == [contract.StructNote("a", []), contract.StructNote("b", ["t"])]


PRODUCER = """
    import sys
    from stem_actor import StemApp, TaskCall
    from tests.app import contract
    from tests.app.contract import Invoice

    app = StemApp(broker="ring://shop", runtime_dir=sys.argv[1])
    assert "tests.app.handlers" not in sys.modules
    typed = contract.PUBLISH.enqueue_and_wait(app, Invoice("far", 3), timeout=20)
    print(typed.required_value())
    print(app.enqueue("order", {"item": "x"}).result(timeout=20))
    print(app.enqueue_versioned_json(
        "order", {"sku": "y", "count": 2}, version=2).result(timeout=20))
    print(app.enqueue_value("ping", {}).result(timeout=20))
    many = [contract.PUBLISH.build_call(Invoice(str(n), n)) for n in range(100)]
    print(sum(each.result(timeout=20).total for each in app.enqueue_many(many)))
    print(contract.PUBLISH.enqueue(app, Invoice("left", 9)).id)
    app.close()
"""


def test_a_process_without_handlers_enqueues_by_definition_and_name(
    shop: StemApp, make_app: Maker
) -> None:
    done = run_script(PRODUCER, str(make_app.runtime_dir))

    lines = done.splitlines()
    assert lines[:-1] == [
        "Receipt(number='far', total=3)",
        "1 pcs x ['count', 'sku', 'unit']",
        "2 pcs y ['count', 'sku', 'unit']",
        "['default', 'ping']",
        "4950",
    ]
    left = contract.PUBLISH.wait_for(shop, lines[-1], timeout=20)
    assert left.required_value() == Receipt("left", 9)


def test_only_a_producer_without_handlers_may_enqueue_any_name(
    shop: StemApp, producer: StemApp, make_app: Maker
) -> None:
    other = make_app(broker="ring://shop")

    assert producer.enqueue("ping").result(timeout=20) == ["default", "ping"]
    for app in (shop, other):
        with pytest.raises(TaskNotRegistered, match="'pin'"):
            app.enqueue("pin")
    assert contract.PING.enqueue(other).result(timeout=20) == ["default", "ping"]
    other.define(contract.PING)
    assert other.enqueue("ping").result(timeout=20) == ["default", "ping"]
    other.close()


def test_an_app_that_was_not_started_still_knows_its_names() -> None:
    with pytest.raises(TaskNotRegistered):
        StemApp().enqueue("anything")


def test_a_task_that_nobody_knows_waits_until_a_worker_does(
    make_app: Maker,
) -> None:
    with make_app(broker="ring://late") as first:
        handle = contract.LATER.enqueue(first, Invoice("a", 1))
        waiting = until(
            lambda: (
                (status := first.status(handle.id))
                and status.meta.get("waiting") == "no worker knows its name"
                and status
            )
        )
        seen = first.wait_for_task(handle.id, timeout=1)

    second = make_app(broker="ring://late")

    @second.task(name="invoice.later")
    def later(invoice: Invoice) -> str:
        return f"{invoice.id} at last"

    with second:
        result = contract.LATER.wait_for(second, handle.id, timeout=20)

    assert (waiting.state, waiting.starts) == (TaskState.QUEUED, 0)
    assert seen.timed_out
    assert seen.status == waiting
    assert result.required_value() == "a at last"


def test_any_process_waits_for_a_task_by_its_id_with_each_decoder(
    shop: StemApp, producer: StemApp
) -> None:
    task_id = contract.PUBLISH.enqueue(shop, Invoice("a", 4)).id

    plain = producer.wait_for_task(task_id, timeout=20)
    decoded = producer.wait_for_task(task_id, decode=lambda it: it["total"])
    typed = producer.wait_for_task(task_id, decode_json=Receipt)
    versioned = producer.wait_for_task(
        task_id,
        decode_versioned_json=contract.read_receipt,
        default_decode_version=6,
    )

    assert plain.value == {"number": "a", "total": 4}
    assert decoded.value == 4
    assert typed.value == Receipt("a", 4)
    assert versioned.value == ("a", 6)
    two: Any = {"decode": int, "decode_json": int}
    with pytest.raises(TypeError, match="one decoder, not decode and decode_json"):
        producer.wait_for_task(task_id, **two)
    with pytest.raises(PayloadError, match="result: expected `int`, got `object`"):
        producer.wait_for_task(task_id, decode_json=int)


def test_a_failure_is_told_and_not_raised(
    shop: StemApp, producer: StemApp, make_app: Maker
) -> None:
    call = TaskCall(name="order", args={"__stemPayloadVersion": 9, "sku": "x"})
    task_id = producer.enqueue_call(call).id

    result = producer.wait_for_task(task_id, timeout=20, decode_json=Receipt)

    assert result.is_failed
    assert result.status is not None
    assert result.status.starts == 1, "an unknown version is not retried"
    assert result.status.error is not None
    assert result.status.error.type == "PayloadVersionError"
    assert "known are [1, 2, 3]" in result.status.error.message
    letter = shop.dead_letters().get(task_id)
    assert letter.error.type == "PayloadVersionError"


def test_an_id_that_nobody_knows_is_answered_at_once(shop: StemApp) -> None:
    result = shop.wait_for_task(format_id(new_id()))

    assert result.status is None
    assert not result.timed_out
    with pytest.raises(LookupError, match="nothing is known about it"):
        result.required_value()
    with pytest.raises(ValueError, match="not a task id"):
        shop.wait_for_task("42")


def test_a_wait_by_id_keeps_its_deadline_while_the_supervisor_is_stopped(
    make_app: Maker,
) -> None:
    with make_app() as app:
        handle = app.enqueue("nap", {"seconds": 60})
        until(lambda: (it := app.status(handle.id)) and it.state == TaskState.RUNNING)
        supervisor = app.directory.owner()
        assert supervisor is not None
        os.kill(supervisor, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            result = app.wait_for_task(handle.id, timeout=0.3)
            took = time.monotonic() - begun
        finally:
            os.kill(supervisor, signal.SIGCONT)
        seen = app.wait_for_task(handle.id, timeout=1).status
        app.revoke(handle.id, terminate=True)
        ended = app.wait_for_task(handle.id, timeout=20)

    assert result.timed_out
    assert took < 3
    assert seen is not None
    assert seen.state == TaskState.RUNNING
    assert ended.is_cancelled


def test_a_wait_by_id_goes_on_over_a_supervisors_death(make_app: Maker) -> None:
    with make_app() as app:
        handle = app.enqueue("nap", {"seconds": 1})
        until(lambda: (it := app.status(handle.id)) and it.state == TaskState.RUNNING)
        supervisor = app.directory.owner()
        assert supervisor is not None
        os.kill(supervisor, signal.SIGKILL)

        result = app.wait_for_task(handle.id, timeout=30)

    assert result.value == "rested"


def test_waiting_by_id_leaves_the_event_loop_free(make_app: Maker) -> None:
    async def main(app: StemApp) -> tuple[Any, int]:
        handle = app.enqueue("nap", {"seconds": 0.5})
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        result = await app.await_for_task(handle.id, timeout=20)
        ticking.cancel()
        return result.value, ticks

    with make_app() as app:
        value, ticks = asyncio.run(main(app))

    assert value == "rested"
    assert ticks >= 10


def test_a_wait_that_has_ended_leaves_nothing_behind(shop: StemApp) -> None:
    handle = contract.LATER.enqueue(shop, Invoice("never", 0))

    for _ in range(3):
        assert shop.wait_for_task(handle.id, timeout=0.01).timed_out

    assert not shop.connection._strays  # type: ignore[attr-defined]


def test_a_handler_enqueues_by_definition_and_may_not_wait(shop: StemApp) -> None:
    child_id = handlers.parent.enqueue().result(timeout=20)
    refused = handlers.waits.enqueue(child_id).result(timeout=20)

    child = contract.PUBLISH.wait_for(shop, child_id, timeout=20)
    assert child.required_value() == Receipt("child", 7)
    assert refused.startswith("a handler cannot wait for another task")


IMPORTED = """
    import sys
    from stem_actor import StemApp
    from tests.app import contract, handlers
    from tests.app.contract import Invoice

    if __name__ == "__main__":
        app = StemApp(
            workers=1, runtime_dir=sys.argv[1], slots=256, arena_bytes=1 << 20,
            start_method="import",
        )
        handlers.add_handlers(app)
        with app:
            print(contract.PUBLISH.enqueue(app, Invoice("a", 3)).result(timeout=30))
            print(app.enqueue("order", {"item": "x"}).result(timeout=30))
"""


def test_workers_that_import_find_classes_versions_and_upgrades(tmp_path: Path) -> None:
    (tmp_path / "rings").mkdir(mode=0o700)

    done = run_script(IMPORTED, str(tmp_path / "rings"))

    assert done.splitlines() == [
        "Receipt(number='a', total=3)",
        "1 pcs x ['count', 'sku', 'unit']",
    ]


def run_script(source: str, *args: str) -> str:
    """Run *source* as a program of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), *args]
        if "__main__" not in source
        else [sys.executable, _written(source, args[0]), *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _written(source: str, folder: str) -> str:
    program = Path(folder).parent / "program.py"
    program.write_text(textwrap.dedent(source))
    return str(program)
