"""A ring that kills every supervisor is put aside, and no ring for another reason."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stem_actor import StemApp
from stem_actor.actor.host import host
from stem_actor.actor.supervisor import quarantine
from stem_actor.errors import (
    BrokerUnavailable,
    RingCorrupt,
    RingError,
    RingInUse,
    RingVersionMismatch,
    StemError,
    TaskCancelledError,
)
from tests.app.conftest import Maker
from tests.app.killing import kill_owner
from tests.app.until import until

#: Runs a supervisor that gets a signal in recovery, as often as a file has lines, and
#: only in the ring whose core the file names.
BOOT = """
import os, sys
sys.path[:0] = {path!r}
from stem_actor.actor.supervisor.supervisor import main
from stem_actor.ring.core import Core

recover = Core.recover

def strike(core, *arguments):
    with open({switch!r}) as file:
        core_number, number, *times = file.read().split()
    if os.stat(sys.argv[1] + "/core.seg").st_ino == int(core_number) and times:
        with open({switch!r}, "w") as file:
            file.write(" ".join((core_number, number, *times[1:])))
        os.kill(os.getpid(), int(number))
    return recover(core, *arguments)

if os.path.exists({switch!r}):
    Core.recover = strike
main()
"""


@pytest.fixture
def strikes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what has the next recoveries of an app's ring end by a signal."""
    switch = tmp_path / "strikes"

    def argv(directory: Path, python: str) -> tuple[str, ...]:
        boot = BOOT.format(path=sys.path, switch=str(switch))
        return (python, "-I", "-c", boot, str(directory))

    monkeypatch.setattr(host, "supervisor_argv", argv)

    def strike(app: StemApp, number: signal.Signals, times: int) -> None:
        core = app.directory.core.stat().st_ino
        switch.write_text(" ".join([str(core), str(int(number)), *times * ["x"]]))

    return strike


def test_a_ring_that_cannot_be_recovered_is_put_aside_and_the_next_is_empty(
    make_app: Maker,
) -> None:
    app = make_app(broker="ring://spoilt", workers=1)
    with app:
        app.registry.get("add").with_options(countdown=3600).enqueue(1).status()
    with app.directory.core.open("r+b") as file:
        file.write(b"\xff" * 4096)
    spoilt = app.directory.core.read_bytes()[:8192]

    with pytest.raises(RingError, match="exited with status 70 again and") as caught:
        app.start()
    (place,) = app.directory.quarantine.iterdir()
    with app:
        value = app.enqueue("add", {"a": 4}).result(timeout=20)
        live = app.stats()["live"]

    assert str(place) in str(caught.value)
    assert "its last words: RingCorrupt: opening" in str(caught.value)
    assert (place / "core.seg").read_bytes()[:8192] == spoilt
    assert sorted(it.name for it in place.glob("w-*")) == ["w-0000.ring", "w-0001.ring"]
    assert len(list(place.glob("p-*.ring"))) == 1
    assert (value, live) == (4, 0)


def test_calls_of_a_running_host_say_why_its_ring_was_put_aside(
    make_app: Maker, strikes: Callable[..., None]
) -> None:
    with make_app(broker="ring://crashing", workers=1) as app:
        app.enqueue("add", {"a": 1}).result(timeout=20)
        later = app.registry.get("add").with_options(countdown=3600).enqueue(1)
        later.status()
        strikes(app, signal.SIGSEGV, 100)

        kill_owner(app.directory)
        with pytest.raises(RingError, match="killed by signal 11") as caught:
            later.result(timeout=60)
        until(lambda: _answers(app))
        value = app.enqueue("add", {"a": 6}).result(timeout=20)
        with pytest.raises(TaskCancelledError, match="lost with a ring"):
            later.result(timeout=20)

        assert value == 6
        assert "its last words: Fatal Python error: Segm" in str(caught.value)
        assert len(list(app.directory.quarantine.iterdir())) == 1


def test_a_host_that_starts_such_a_ring_is_told_where_it_is_now(
    make_app: Maker, strikes: Callable[..., None]
) -> None:
    app = make_app(broker="ring://started", workers=1)
    with app:
        app.enqueue("add", {"a": 1}).result(timeout=20)
    strikes(app, signal.SIGSEGV, 100)

    with pytest.raises(RingError, match="killed by signal 11 again and") as caught:
        app.start()
    (place,) = app.directory.quarantine.iterdir()

    assert str(place) in str(caught.value)
    assert "its last words: Fatal Python error: Segm" in str(caught.value)


def test_a_ring_whose_supervisors_are_killed_from_outside_stays(
    make_app: Maker, strikes: Callable[..., None]
) -> None:
    with make_app(broker="ring://killed", workers=1) as app:
        app.enqueue("add", {"a": 1}).result(timeout=20)
        later = app.registry.get("add").with_options(countdown=0.5).enqueue(5)
        later.status()
        strikes(app, signal.SIGKILL, 7)

        kill_owner(app.directory)
        until(lambda: _answers(app))

        assert later.result(timeout=20) == 5
        assert not app.directory.quarantine.exists()


def test_fewer_deaths_than_five_are_not_even_told(
    make_app: Maker, strikes: Callable[..., None]
) -> None:
    with make_app(broker="ring://four", workers=1) as app:
        later = app.registry.get("add").with_options(countdown=0.5).enqueue(5)
        later.status()
        strikes(app, signal.SIGSEGV, 3)

        kill_owner(app.directory)

        assert later.result(timeout=30) == 5
        assert not app.directory.quarantine.exists()


def test_three_rings_are_kept_at_most(make_app: Maker) -> None:
    app = make_app(broker="ring://many", workers=1)
    app.directory.create()
    for _ in range(5):
        app.directory.core.write_bytes(b"x")
        last = quarantine.put_aside(app.directory)
        last.rename(last.with_name(f"{last.name}-{last.stat().st_ino}"))

    kept = list(app.directory.quarantine.iterdir())

    assert len(kept) == 3
    assert [it.name for it in kept[0].iterdir()] == ["core.seg"]


@pytest.mark.parametrize(
    ("error", "is_blamed"),
    [
        (RingCorrupt("an index is out of range"), True),
        (StemError("the ring does not pass its checks"), True),
        (IndexError("list index out of range"), True),
        (RingVersionMismatch(1, 2), False),
        (RingInUse(1, path="/ring"), False),
        (RingError("8 MiB are needed"), False),
        (OSError(28, "No space left on device"), False),
        (MemoryError(), False),
        (sqlite3.DatabaseError("file is not a database"), False),
    ],
)
def test_only_what_the_ring_may_have_caused_is_held_against_it(
    error: Exception, is_blamed: bool
) -> None:
    assert (quarantine.exit_code_of(error) == 70) is is_blamed


def _answers(app: StemApp) -> bool:
    try:
        return bool(app.stats())
    except (RingError, BrokerUnavailable):
        return False
