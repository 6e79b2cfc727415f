"""StemApp without processes: settings, registration, and an app that is not started."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import stem_actor
from stem_actor import (
    AppNotStarted,
    DuplicateTask,
    SettingsError,
    StemApp,
    StopReport,
    WorkerLifecycle,
)
from stem_actor.actor.host.places import Places
from stem_actor.errors import BrokerUnavailable
from tests.unit.task_surface import add, fresh


def test_every_wrong_setting_is_named_at_once() -> None:
    wrong: dict[str, Any] = {
        "broker": "redis://host",
        "workers": 0,
        "concurrency": True,
        "slots": 3,
        "arena_bytes": (256 << 10) + 1,
        "result_ttl": -1,
        "max_payload": 0,
        "start_method": "magic",
        "lifecycle": 7,
        "retry_strategy": "none",
    }

    with pytest.raises(SettingsError) as caught:
        StemApp(**wrong)

    assert len(caught.value.problems) == len(wrong)
    for name, problem in zip(sorted(wrong), sorted(caught.value.problems), strict=True):
        assert name in problem


def test_a_wrong_ring_name_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="ring name"):
        StemApp(broker="ring://no spaces")


def test_a_wrong_lifecycle_names_every_problem() -> None:
    with pytest.raises(ValueError, match="max_tasks") as caught:
        WorkerLifecycle(max_tasks=0, soft_memory=-1, grace=-1)

    assert len(getattr(caught.value, "problems", ())) == 3


def test_settings_reach_the_supervisor_in_its_own_units(tmp_path: Path) -> None:
    app = StemApp(
        broker="ring://shop",
        runtime_dir=tmp_path,
        workers=3,
        result_ttl=5,
        lifecycle=WorkerLifecycle(max_tasks=9, grace=1.5),
        retry_strategy=stem_actor.ExponentialJitterRetryStrategy(base=1, max=7, seed=4),
    )

    config = app.settings.supervisor_config(
        is_anonymous=False, places=Places({"a": "m:a"}, ("m:h",), (), None)
    )

    assert (config.workers, config.max_tasks, config.hard_memory) == (3, 9, 0)
    assert (config.result_ttl_ns, config.grace_ns) == (5 * 10**9, 1_500_000_000)
    assert (config.strategy, config.strategy_seed) == ((10**9, 7 * 10**9), 4)
    assert config.handlers == {"a": "m:a"}
    assert config.init_hooks == ("m:h",)
    assert app.directory.path == tmp_path / "shop"


def test_both_forms_of_the_decorator_register() -> None:
    app = StemApp()

    plain = app.task(add)
    named = app.task(name="other", priority=3)(add)

    assert [*app.registry] == [plain, named]
    assert app.register(fresh(name="third")).name == "third"
    assert StemApp(tasks=[add]).registry.names == (plain.name,)


def test_a_second_task_of_a_name_is_refused() -> None:
    app = StemApp(tasks=[fresh(name="a")])

    with pytest.raises(DuplicateTask):
        app.task(name="a")(add)


def test_a_task_with_options_that_the_ring_refuses_is_not_registered() -> None:
    app = StemApp()

    with pytest.raises(SettingsError, match="isolation"):
        app.task(name="a", isolation="fresh")(add)

    assert "a" not in app.registry


def test_an_app_that_is_not_started_says_what_to_do() -> None:
    app = StemApp()
    task = app.task(name="a")(add)

    with pytest.raises(AppNotStarted, match="not started; use `with app:`"):
        task.enqueue(1)
    with pytest.raises(AppNotStarted):
        app.stats()
    assert app.stop() == StopReport()


def test_an_app_that_is_closed_says_so() -> None:
    app = StemApp()
    task = app.task(name="a")(add)

    app.close()

    with pytest.raises(AppNotStarted, match="the app is closed"):
        task.enqueue(1)


def test_a_named_ring_that_nobody_runs_is_unavailable(tmp_path: Path) -> None:
    app = StemApp(broker="ring://shop", runtime_dir=tmp_path)
    task = app.task(name="a")(add)

    with pytest.raises(BrokerUnavailable, match="no supervisor runs the ring"):
        task.enqueue(1)


def test_a_host_takes_the_tasks_of_imported_modules_and_no_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = ModuleType("shop_tasks")
    module.pay, module.number = fresh(name="pay"), 7
    monkeypatch.setitem(sys.modules, "shop_tasks", module)
    app = StemApp(imports=["shop_tasks"])

    app.make_host()

    assert app.registry.names == ("pay",)
    with pytest.raises(SettingsError, match="registered after the start"):
        app.task(name="late")(add)
