"""Kept files: SQLite databases in the ring's directory that outlive every process."""

from __future__ import annotations

import sqlite3
from pathlib import Path

__all__ = ["Transaction", "open_kept"]


def open_kept(path: Path, schema: str) -> sqlite3.Connection:
    """
    Open the file at *path*, made with mode 0600 if there is none.

    Args:
        path: Where it is.
        schema: What makes its tables where they are missing.

    Raises:
        sqlite3.Error: If it cannot be read or written.
        OSError: If it cannot be made.
    """
    path.touch(mode=0o600, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    # The file has to survive processes, not the machine: the page cache does.
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(schema)
    return db


class Transaction:
    """BEGIN IMMEDIATE … COMMIT; ROLLBACK when the body, or the commit, fails."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # a full disk may have rolled it back
                self._db.execute("ROLLBACK")
