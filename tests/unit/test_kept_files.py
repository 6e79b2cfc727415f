"""Files that the supervisor keeps: what is written once, or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stem_actor.actor.supervisor.canvas_store import CanvasStore, PartEnd
from stem_actor.actor.supervisor.kept_file import Transaction, open_kept
from stem_actor.ring.producer import Kind

CANVAS = bytes(16)


def test_what_a_transaction_began_before_it_failed_is_undone(tmp_path: Path) -> None:
    db = open_kept(tmp_path / "kept.db", "CREATE TABLE IF NOT EXISTS t (n INTEGER)")

    def write_in_vain() -> None:
        with Transaction(db):
            db.execute("INSERT INTO t VALUES (1)")
            db.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(sqlite3.OperationalError):
        write_in_vain()
    with Transaction(db):
        db.execute("INSERT INTO t VALUES (2)")

    assert db.execute("SELECT n FROM t").fetchall() == [(2,)]
    assert (tmp_path / "kept.db").stat().st_mode & 0o777 == 0o600
    db.close()


def test_an_end_that_is_noted_twice_stays_what_it_was_at_first(tmp_path: Path) -> None:
    store = CanvasStore(tmp_path / "canvas.db")
    store.begin(CANVAS, b"plan")

    store.note([PartEnd(CANVAS, 0, Kind.SUCCEEDED, b"first")])
    store.note([PartEnd(CANVAS, 0, Kind.FAILED, b"second")])

    assert list(store.ends(CANVAS)) == [(0, Kind.SUCCEEDED)]
    assert store.payload(CANVAS, 0) == b"first"
    store.close()


def test_a_canvas_that_is_forgotten_leaves_nothing(tmp_path: Path) -> None:
    store = CanvasStore(tmp_path / "canvas.db")
    store.begin(CANVAS, b"plan")
    store.note([PartEnd(CANVAS, 0, Kind.SUCCEEDED, b"end")])

    store.forget(CANVAS)

    assert (list(store.canvases()), list(store.ends(CANVAS))) == ([], [])
    store.close()
