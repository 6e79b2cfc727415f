"""Dead letters: what failed for good, kept in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stem_actor.actor.supervisor.kept_file import Transaction, open_kept

__all__ = ["DeadLetter", "DeadLetterStore"]

ENTRIES_MAX: Final = 10_000
BYTES_MAX: Final = 32 << 20
AGE_MAX_NS: Final = 7 * 86_400 * 10**9

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS dead (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    queue TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    died_ns INTEGER NOT NULL,
    record BLOB NOT NULL,
    error BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS dropped (entries INTEGER NOT NULL);
INSERT INTO dropped SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM dropped);
"""
_COLUMNS: Final = "id, name, queue, attempt, starts, crashes, died_ns, record, error"
_INSERT: Final = (
    f"INSERT OR IGNORE INTO dead ({_COLUMNS})"  # noqa: S608 - constants only
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
#: Of a letter that goes: its length, and its record unless that is too long for one
#: whose arguments are spooled.
_GONE: Final = "length(record), iif(length(record) <= 2048, record, NULL)"
_REMOVE: Final = (
    "DELETE FROM dead WHERE id = ? RETURNING " + _GONE  # noqa: S608 - constants
)
_EXPIRE: Final = (
    "DELETE FROM dead WHERE died_ns < ? RETURNING " + _GONE  # noqa: S608 - constants
)
_DROP_OLDEST: Final = (
    "DELETE FROM dead WHERE seq = (SELECT min(seq) FROM dead)"  # noqa: S608 - constants
    " RETURNING " + _GONE
)
_SEQ_MAX: Final = (1 << 63) - 1


#: A row of ``_GONE``.
_Gone = tuple[int, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """
    One entry.

    Attributes:
        task_id: 16 bytes.
        died_ns: Wall time of the failure.
        record: The task as it was published (``ring.record``).
        error: The packed ``TaskError``.
        seq: Its place in the file, never used again; 0: it is not written yet.
    """

    task_id: bytes
    name: str
    queue: str
    attempt: int
    starts: int
    crashes: int
    died_ns: int
    record: bytes
    error: bytes
    seq: int = 0


class DeadLetterStore:
    """
    The file. One writer, the supervisor; anybody of the same user may read.

    Writing the same task twice keeps one entry, so a supervisor that died between
    the file and the slot repeats itself without harm. The bounds (entries, bytes,
    age) drop the oldest; drops are counted.
    """

    def __init__(self, path: Path) -> None:
        self._db = open_kept(path, _SCHEMA)
        row = self._db.execute("SELECT count(*), total(length(record)) FROM dead")
        self._entries, self._bytes = (int(it) for it in row.fetchone())
        row = self._db.execute("SELECT entries FROM dropped")
        self._dropped = int(row.fetchone()[0])

    def add(self, letters: Sequence[DeadLetter]) -> Sequence[bytes]:
        """
        Write *letters* in one transaction; returns the short records of those that
        the bounds cost, among them all whose arguments are spooled.

        Raises:
            sqlite3.Error: If the file cannot be written; it is as it was.
        """
        if not letters:
            return []
        before = self._entries, self._bytes, self._dropped
        try:
            with Transaction(self._db):
                for letter in letters:
                    added = self._db.execute(_INSERT, _row_of(letter)).rowcount
                    if added > 0:
                        self._entries += 1
                        self._bytes += len(letter.record)
                return self._bound(letters[-1].died_ns)
        except BaseException:
            self._entries, self._bytes, self._dropped = before
            raise

    def count_dropped(self, count: int) -> None:
        """Count letters that never came in; written down with the next that do."""
        self._dropped += count

    def list(
        self,
        *,
        queue: str | None = None,
        limit: int = 100,
        before: int | None = None,
        since_ns: int = 0,
    ) -> list[DeadLetter]:
        """
        Return the newest entries first.

        Args:
            queue: Only of this queue; None: all.
            limit: At most this many.
            before: Only those with a lower ``seq``; None: from the newest on.
            since_ns: Only those that died at this wall time or later.
        """
        where = "" if queue is None else "AND queue = ?"
        bounds: list[object] = [_SEQ_MAX if before is None else before, since_ns]
        rows = self._db.execute(
            f"SELECT {_COLUMNS}, seq FROM dead"  # noqa: S608 - constants only
            f" WHERE seq < ? AND died_ns >= ? {where} ORDER BY seq DESC LIMIT ?",
            [*bounds, *([] if queue is None else [queue]), limit],
        )
        return [_letter_of(row) for row in rows]

    def get(self, task_id: bytes) -> DeadLetter | None:
        rows = self._db.execute(
            f"SELECT {_COLUMNS}, seq FROM dead WHERE id = ?",  # noqa: S608 - constant
            [task_id],
        ).fetchall()
        return _letter_of(rows[0]) if rows else None

    def remove(self, task_ids: Sequence[bytes]) -> tuple[int, Sequence[bytes]]:
        """
        Forget entries that were replayed or purged.

        Returns:
            How many there were, and their short records.
        """
        rows: list[_Gone] = []
        with Transaction(self._db):
            for task_id in task_ids:
                rows += self._db.execute(_REMOVE, [task_id]).fetchall()
        return len(rows), self._gone(rows)

    def purge(self, *, queue: str | None = None) -> tuple[int, Sequence[bytes]]:
        """Forget all entries, or those of one queue; returns as ``remove`` does."""
        where, arguments = ("", []) if queue is None else ("WHERE queue = ?", [queue])
        rows = self._db.execute(
            f"DELETE FROM dead {where} RETURNING {_GONE}",  # noqa: S608 - constants
            arguments,
        ).fetchall()
        return len(rows), self._gone(rows)

    def __contains__(self, task_id: bytes) -> bool:
        rows = self._db.execute("SELECT 1 FROM dead WHERE id = ?", [task_id])
        return rows.fetchone() is not None

    @property
    def count(self) -> int:
        return self._entries

    @property
    def dropped(self) -> int:
        """How many entries the bounds have cost, or a file that was full."""
        return self._dropped

    def close(self) -> None:
        self._db.close()

    def _gone(self, rows: Sequence[_Gone]) -> Sequence[bytes]:
        """Take deleted *rows* off the sums; returns their short records."""
        self._entries -= len(rows)
        self._bytes -= sum(length for length, _ in rows)
        return [record for _, record in rows if record is not None]

    def _bound(self, now_ns: int) -> Sequence[bytes]:
        rows = self._db.execute(_EXPIRE, [now_ns - AGE_MAX_NS]).fetchall()
        count, gone = len(rows), [*self._gone(rows)]
        while self._entries > ENTRIES_MAX or self._bytes > BYTES_MAX:
            rows = self._db.execute(_DROP_OLDEST).fetchall()
            if not rows:
                break
            count += len(rows)
            gone += self._gone(rows)
        self._dropped += count
        self._db.execute(
            "UPDATE dropped SET entries = ? WHERE entries <> ?", [self._dropped] * 2
        )
        return gone


def _row_of(letter: DeadLetter) -> tuple[object, ...]:
    return (
        letter.task_id,
        letter.name,
        letter.queue,
        letter.attempt,
        letter.starts,
        letter.crashes,
        letter.died_ns,
        letter.record,
        letter.error,
    )


def _letter_of(
    row: tuple[bytes, str, str, int, int, int, int, bytes, bytes, int],
) -> DeadLetter:
    return DeadLetter(
        task_id=row[0],
        name=row[1],
        queue=row[2],
        attempt=row[3],
        starts=row[4],
        crashes=row[5],
        died_ns=row[6],
        record=row[7],
        error=row[8],
        seq=row[9],
    )
