"""How many cores there are to keep busy: the affinity mask, and the quotas above."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stem_actor import StemApp
from stem_actor.actor.host import replies, settings
from stem_actor.actor.tree.cores import usable_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("800000 100000", 8),
        ("1600000 100000", 8),
        ("300000 100000", 3),
        ("250000 100000", 2),
        ("199999 100000", 1),
        ("10000 100000", 1),
        ("100000", 8),
        ("", 8),
        ("100000 0", 8),
    ],
)
def test_a_quota_counts_in_whole_cores(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert usable_cores(tmp_path, tmp_path / "no membership") == cores


def test_without_control_groups_the_mask_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "nowhere", tmp_path / "nothing") == 8


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [("max 100000", "400000 100000", 4), ("200000 100000", "max 100000", 2)],
)
def test_the_smallest_quota_from_here_to_the_root_counts(
    tmp_path: Path, own: str, above: str, cores: int
) -> None:
    membership = tmp_path / "membership"
    membership.write_text("1:name=systemd:/elsewhere\n0::/slice/service\n")
    (tmp_path / "slice" / "service").mkdir(parents=True)
    (tmp_path / "slice" / "cpu.max").write_text(above)
    (tmp_path / "slice" / "service" / "cpu.max").write_text(own)

    assert usable_cores(tmp_path, membership) == cores


def test_a_group_outside_of_the_namespace_leaves_the_root(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/../other\n")
    (tmp_path / "cpu.max").write_text("500000 100000")

    assert usable_cores(tmp_path, membership) == 5


def test_an_app_has_a_worker_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "usable_cores", lambda: 5)

    assert StemApp().settings.workers == 5
    assert StemApp(workers=2).settings.workers == 2


@pytest.mark.parametrize(("cores", "spins"), [(1, False), (2, True)])
def test_a_waiter_spins_only_where_that_leaves_a_core(
    monkeypatch: pytest.MonkeyPatch, cores: int, spins: bool
) -> None:
    monkeypatch.setattr(replies, "usable_cores", lambda: cores)

    assert bool(replies.spin_ns()) is spins
