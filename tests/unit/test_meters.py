"""Meters: which start is measured, when it is ended, and when a worker is recycled."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from stem_actor.actor.supervisor import meters
from stem_actor.actor.supervisor.limits import Start
from stem_actor.actor.supervisor.meters import Meters, _Metered
from stem_actor.actor.tree.processes import Footprint, footprint_of
from stem_actor.clock import VirtualClock
from stem_actor.ring.core import Fault

MIB = 1 << 20


@dataclass
class Bench:
    """Meters over one worker, which is this process, and a record of what they do."""

    settings: dict[str, int | None] = field(default_factory=dict)
    done: list[tuple[Any, ...]] = field(default_factory=list)
    later: list[tuple[float, Any, tuple[Any, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits: dict[str, int | None] = {
            "soft_memory": None, "hard_memory": None, "max_tasks": None,
            **self.settings,
        }  # fmt: skip
        self.member = SimpleNamespace(
            index=0, pid=os.getpid(), kill_ns=0, born_finished=2
        )
        self.row = SimpleNamespace(finished=2)
        crew: Any = SimpleNamespace(
            members=[self.member],
            live=lambda: [self.member],
            kill=lambda member, fault, **facts: self.done.append(("kill", fault)),
            recycle=lambda member, reason: self.done.append(("recycle", reason)),
        )
        core: Any = SimpleNamespace(worker_rows=[self.row])
        loop: Any = SimpleNamespace(
            call_later=lambda s, call, *args: self.later.append((s, call, args))
        )
        unused: Any = None
        config: Any = SimpleNamespace(**limits)
        self.meters = Meters(core, crew, unused, config, VirtualClock(), loop)

    def look(self) -> list[tuple[Any, ...]]:
        """Let each look that is due now happen once."""
        due, self.later = self.later, []
        for _, call, args in due:
            call(*args)
        return self.done


def rss() -> int:
    footprint = footprint_of(os.getpid())
    assert footprint is not None
    return footprint.rss


@pytest.mark.parametrize(
    ("settings", "done"),
    [
        ({"soft_memory": MIB}, [("recycle", "memory")]),
        ({"hard_memory": MIB}, [("kill", Fault.MEMORY)]),
        ({"soft_memory": MIB, "hard_memory": MIB}, [("kill", Fault.MEMORY)]),
        ({"soft_memory": 1 << 50, "hard_memory": 1 << 50}, []),
        ({}, []),
    ],
    ids=str,
)
def test_marks_are_of_resident_bytes_and_the_hard_one_goes_first(
    settings: dict[str, int | None], done: list[tuple[Any, ...]]
) -> None:
    assert rss() > MIB

    assert Bench(settings).look() == done


def test_a_worker_is_recycled_after_tasks_of_its_own_and_not_of_its_predecessor() -> (
    None
):
    bench = Bench({"max_tasks": 3})

    bench.row.finished = 4
    early = list(bench.look())
    bench.row.finished = 5

    assert early == []
    assert bench.look() == [("recycle", "tasks")]


def test_who_has_no_marks_is_not_looked_at_for_them() -> None:
    assert [it[0] for it in Bench().later] == [meters._COUNT_S]
    assert len(Bench({"max_tasks": 1}).later) == 2


def test_each_look_has_another_after_it() -> None:
    bench = Bench({"soft_memory": 1 << 50})
    before = sorted(it[0] for it in bench.later)

    bench.look()

    assert sorted(it[0] for it in bench.later) == before


@pytest.mark.parametrize(
    ("kill_ns", "limit", "done"),
    [(0, MIB, [("kill", Fault.MEMORY)]), (1, MIB, []), (0, 1 << 50, [])],
    ids=["over", "over, and killed already", "under"],
)
def test_a_start_over_its_own_memory_is_killed_once(
    kill_ns: int, limit: int, done: list[tuple[Any, ...]]
) -> None:
    bench = Bench()
    bench.member.kill_ns = kill_ns

    bench.meters._measure(_Metered(Start(0, 0, 0, 1, 0), limit, None))

    assert bench.done == done


def test_what_a_child_had_used_before_the_start_is_not_its_own() -> None:
    metered = _Metered(Start(0, 0, 0, 1, 0), None, 1, before={7: 500})

    spent_ns = metered.spent_by({7: Footprint(0, 600), 8: Footprint(0, 30)})

    assert spent_ns == 100 + 30


def test_children_are_noted_when_a_start_is_first_looked_at() -> None:
    bench, metered = Bench(), _Metered(Start(0, 0, 0, 1, 0), 1 << 50, None)
    gate, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(gate, 1)
        os._exit(0)
    try:
        bench.meters._measure(metered)
    finally:
        os.close(go)
        os.close(gate)
        os.waitpid(child, 0)

    footprint = (metered.before or {}).get(child)
    assert footprint is not None
    assert footprint >= 0
