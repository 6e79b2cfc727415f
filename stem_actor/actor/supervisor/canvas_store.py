"""CanvasStore: what canvases have come to, in a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from stem_actor.actor.supervisor.kept_file import Transaction, open_kept

__all__ = ["CanvasStore", "PartEnd"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS canvas (id BLOB PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS part (
    canvas BLOB NOT NULL,
    number INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (canvas, number)
) WITHOUT ROWID;
"""


class PartEnd(NamedTuple):
    """
    How one part has ended.

    Attributes:
        canvas: Whose part it is.
        number: Which of its steps.
        kind: A ``ring.producer.Kind``.
        payload: What the outcome carries.
    """

    canvas: bytes
    number: int
    kind: int
    payload: bytes


class CanvasStore:
    """
    The file. One writer, the supervisor.

    An end is written before the slot that holds it may go, and a canvas is forgotten
    after its last part has ended; so whatever a crash cuts short is done again, and
    to write an end twice keeps the first.
    """

    def __init__(self, path: Path) -> None:
        self._db = open_kept(path, _SCHEMA)

    def begin(self, canvas: bytes, document: bytes) -> None:
        """
        Keep a canvas; one that is there already stays as it is.

        Raises:
            sqlite3.Error: If the file cannot be written.
        """
        self._db.execute(
            "INSERT OR IGNORE INTO canvas VALUES (?, ?)", [canvas, document]
        )

    def note(self, ends: Iterable[PartEnd]) -> None:
        """
        Keep *ends*, all of them or none.

        Raises:
            sqlite3.Error: If the file cannot be written.
        """
        with Transaction(self._db):
            self._db.executemany(
                "INSERT OR IGNORE INTO part VALUES (?, ?, ?, ?)", list(ends)
            )

    def forget(self, canvas: bytes) -> None:
        """Drop a canvas that is over."""
        with Transaction(self._db):
            self._db.execute("DELETE FROM part WHERE canvas = ?", [canvas])
            self._db.execute("DELETE FROM canvas WHERE id = ?", [canvas])

    def canvases(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield id and document of each canvas that is not over."""
        yield from self._db.execute("SELECT id, document FROM canvas").fetchall()

    def ends(self, canvas: bytes) -> Iterator[tuple[int, int]]:
        """Yield number and kind of each ended part of *canvas*, in their order."""
        yield from self._db.execute(
            "SELECT number, kind FROM part WHERE canvas = ? ORDER BY number", [canvas]
        ).fetchall()

    def payload(self, canvas: bytes, number: int) -> bytes:
        """Return what the end of a part carries; it must have been noted."""
        row = self._db.execute(
            "SELECT payload FROM part WHERE canvas = ? AND number = ?", [canvas, number]
        ).fetchone()
        return bytes(row[0])

    def close(self) -> None:
        self._db.close()
