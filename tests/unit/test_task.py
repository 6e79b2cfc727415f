"""Tasks as definitions: names, places, errors; and their plain calls."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any

import pytest

import stem_actor
from stem_actor import SettingsError, TaskContext
from stem_actor.errors import AppNotStarted
from stem_actor.tasks.task import AsyncTask, SyncTask
from tests.unit.task_surface import add, fresh, open_shop


def test_the_default_name_is_module_and_qualname() -> None:
    assert fresh().name == "tests.unit.task_surface.add"


def test_in_a_script_its_stem_stands_for_the_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = ModuleType("__main__")
    main.__file__ = "/home/me/shop.py"
    monkeypatch.setitem(sys.modules, "__main__", main)

    def pay() -> None: ...

    pay.__module__, pay.__qualname__ = "__main__", "pay"

    assert fresh(pay).name == "shop.pay"


def test_a_task_looks_like_its_handler() -> None:
    task = fresh()

    assert task.__name__ == "add"
    assert task.__doc__ == add.__doc__
    assert task.__wrapped__ is add


def test_the_kind_of_the_handler_decides_on_the_kind_of_the_task() -> None:
    async def fetch() -> None: ...

    assert isinstance(fresh(), SyncTask)
    assert isinstance(fresh(fetch), AsyncTask)


def test_every_problem_of_a_definition_is_named_with_file_and_line() -> None:
    with pytest.raises(SettingsError) as caught:
        fresh(priority=12, soft_time_limit=9, hard_time_limit=3)

    assert len(caught.value.problems) == 2
    for problem in caught.value.problems:
        assert "task_surface.py:" in problem
        assert "task tests.unit.task_surface.add: " in problem


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_retry": 3}, "no option 'max_retry'; did you mean 'max_retries'"),
        ({"name": ""}, "must be printable text"),
        ({"name": "x" * 256}, "more than 255 bytes"),
        ({"aliases": ["a\n"]}, "must be printable text"),
    ],
)
def test_a_wrong_definition_says_what_to_change(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        fresh(**options)


def test_what_cannot_be_a_handler_is_refused() -> None:
    def numbers() -> Any:
        yield 1

    for handler in (numbers, dict, 7):
        with pytest.raises((SettingsError, TypeError)):
            fresh(handler)  # type: ignore[arg-type]


def test_a_task_without_an_app_cannot_be_enqueued() -> None:
    task = fresh()

    for enqueue in (task.enqueue, task.with_options(priority=3).enqueue):
        with pytest.raises(AppNotStarted, match="belongs to no app"):
            enqueue(1)


def test_a_plain_call_runs_here_with_a_local_context() -> None:
    seen: list[TaskContext] = []

    @stem_actor.task
    def note(context: TaskContext, word: str) -> str:
        current = TaskContext.current()
        assert current is context
        context.progress(50)
        context.heartbeat()
        seen.append(context)
        return word.upper()

    assert note("a") == "A"
    assert TaskContext.current() is None
    assert seen[0].name == note.name
    assert seen[0].args == {"word": "a"}
    assert seen[0].attempt == 0
    assert seen[0].remaining() is None


def test_an_async_plain_call_is_awaited_here() -> None:
    @stem_actor.task
    async def fetch(context: TaskContext, url: str) -> str:
        await asyncio.sleep(0)
        return f"{context.queue}:{url}"

    assert asyncio.run(fetch("u")) == "default:u"


def test_a_task_of_a_running_app_cannot_be_taken_by_another() -> None:
    task = fresh()
    open_shop(task)

    with pytest.raises(SettingsError, match="belongs to another running app"):
        open_shop(task)


def test_options_made_before_the_app_work_after_it() -> None:
    task = fresh()
    urgent = task.with_options(priority=9)

    shop = open_shop(task)
    urgent.enqueue(1)

    assert shop.last.head.priority == 9
