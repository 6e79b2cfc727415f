"""The registry: names, hashes, aliases; and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from stem_actor.errors import DuplicateTask, SettingsError, TaskNotRegistered
from stem_actor.ring.record import type_hash
from stem_actor.tasks import registry as registry_module
from stem_actor.tasks.registry import Registry
from tests.unit.task_surface import fresh


def test_a_task_is_found_by_its_name_its_alias_and_either_hash() -> None:
    registry, task = Registry(), fresh(name="shop.add", aliases=["old.add"])

    registry.add(task)

    assert registry.get("shop.add") is registry.get("old.add") is task
    assert registry.by_hash(type_hash("shop.add")) is task
    assert registry.by_hash(type_hash("old.add")) is task
    assert registry.by_hash(1) is None
    assert [*registry] == [task]
    assert len(registry) == 1


def test_an_unknown_name_suggests_the_nearest() -> None:
    registry = Registry()
    registry.add(fresh(name="shop.add"))

    with pytest.raises(TaskNotRegistered, match=r"did you mean 'shop\.add'"):
        registry.get("shop.ad")


@pytest.mark.parametrize("names", [{"name": "a"}, {"name": "b", "aliases": ["a"]}])
def test_a_second_task_of_a_name_is_refused_with_the_place_of_the_first(
    names: dict[str, Any],
) -> None:
    registry, first = Registry(), fresh(name="a")
    registry.add(first)

    with pytest.raises(DuplicateTask, match=r"task_surface\.py:\d+"):
        registry.add(fresh(**names))

    assert registry.names == ("a",)


def test_the_same_task_may_be_added_twice() -> None:
    registry, task = Registry(), fresh(name="a")

    registry.add(task)
    registry.add(task)

    assert len(registry) == 1


def test_a_hash_collision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "type_hash", lambda name: 7)
    registry = Registry()
    registry.add(fresh(name="a"))

    with pytest.raises(SettingsError, match="'b' and 'a' have one hash"):
        registry.add(fresh(name="b"))


def test_a_thawed_registry_takes_tasks_again() -> None:
    registry = Registry()
    registry.freeze()

    registry.thaw()

    registry.add(fresh(name="a"))
    assert "a" in registry


def test_a_frozen_registry_takes_no_new_task() -> None:
    registry, task = Registry(), fresh(name="a")
    registry.add(task)

    registry.freeze()

    registry.add(task)
    with pytest.raises(SettingsError, match="registered after the start"):
        registry.add(fresh(name="b"))
