"""DeadLetters: the tasks that failed for good, to be read, replayed or purged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from stem_actor.clock import SystemClock
from stem_actor.errors import EncoderNotRegistered, PayloadError, StemError
from stem_actor.ids import format_id, parse_id
from stem_actor.model.duration import Duration, from_wall_ns, to_ns, to_wall_ns
from stem_actor.model.error import TaskError
from stem_actor.payload.encoder import ARGS_ENCODER, decode
from stem_actor.payload.wire import unpack
from stem_actor.ring.record import ARGS_HEADERS_META, SPOOLED, unpack_record
from stem_actor.tasks.outcome import read_failure, unpack_failure
from stem_actor.tasks.ports import Connection

__all__ = ["DeadLetter", "DeadLetters", "Replay"]

_PAGE: Final = 50  # so many fit one answer, whatever their errors are
_CLOCK: Final = SystemClock()
_NO_ID: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A task that failed for good.

    Attributes:
        id: The task's id as text.
        task: Its name.
        queue: The queue it came from.
        error: Its last error; ``meta["reason"]`` says why it was given up.
        attempt: 0-based number of the last try.
        starts: How often its handler was started.
        died_at: When it was given up, UTC.
    """

    id: str
    task: str
    queue: str
    error: TaskError
    attempt: int
    starts: int
    died_at: datetime


@dataclass(frozen=True, slots=True)
class Replay:
    """
    What a replay does to one entry.

    Attributes:
        letter: The entry.
        new_id: The id under which it is enqueued again; None: it was only planned.
    """

    letter: DeadLetter
    new_id: str | None


class DeadLetters:
    """The dead letters of a ring, or of one of its queues."""

    def __init__(self, connection: Connection, queue: str | None = None) -> None:
        self._connection = connection
        self._queue = queue

    def list(self, *, limit: int = _PAGE) -> Sequence[DeadLetter]:
        """
        Return entries, the latest first.

        Raises:
            ValueError: If *limit* is not in 1..50.
        """
        if not 1 <= limit <= _PAGE:
            raise ValueError(f"limit must be in 1..{_PAGE}, not {limit}")
        return [self._letter(row) for row in self._rows(limit)]

    def get(self, task_id: str) -> DeadLetter | None:
        """
        Return the entry of one task, or None.

        Raises:
            ValueError: If *task_id* is no task id.
        """
        row = self._row(parse_id(task_id))
        return None if row is None else self._letter(row)

    def body(self, task_id: str) -> object:
        """
        Return the task's arguments, with headers and meta where it has some.

        Encoded arguments are decoded, unless the connection has no encoders.

        Raises:
            ValueError: If *task_id* is no task id.
            StemError: If there is no such entry.
            PayloadError: If they are no longer kept, or cannot be read.
            EncoderNotRegistered: If the connection's encoders do not know theirs.
        """
        row = self._known_row(parse_id(task_id))
        record = unpack_record(row["record"])
        body = unpack(self._connection.unspool(record.body))
        encoders = self._connection.encoders
        if encoders is None or record.head.kind != ARGS_HEADERS_META:
            return body
        match body:
            case [args, dict() as headers, meta] if ARGS_ENCODER in headers:
                encoder = encoders.resolve_args(str(headers[ARGS_ENCODER]))
                return [decode(encoder, args, path="args"), headers, meta]
        return body

    def replay(
        self,
        ids: Iterable[str] | None = None,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        delay: Duration = 0,
        dry_run: bool = False,
    ) -> Sequence[Replay]:
        """
        Enqueue entries again, the latest first, as first attempts under new ids.

        What fails once more meanwhile is not replayed by the same call. An entry goes
        only after its task is in the queue: a replay that is killed may enqueue one
        task twice, but loses none.

        Args:
            ids: These, in this order; None: all that the other arguments leave.
            limit: At most this many; None: no bound.
            since: Only those that died at this instant or later.
            delay: How long from now each waits at least.
            dry_run: Only say which ones it would be.

        Returns:
            The entries, each with its new id.

        Raises:
            ValueError: If one of *ids* is no task id, or *limit* is below 1.
            StemError: If there is no entry of one of *ids*; what was enqueued stays so.
            QueueFull: If there is no room; likewise.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        since_ns = 0 if since is None else to_wall_ns(since, "since")
        delay_ns = to_ns(delay, "delay")
        if ids is None:
            rows = self._walk(limit, since_ns)
        else:
            chosen = [self._known_row(parse_id(it)) for it in dict.fromkeys(ids)]
            rows = (it for it in chosen[:limit] if it["diedNs"] >= since_ns)
        if dry_run:
            return [Replay(self._letter(row), None) for row in rows]
        replays = (self._replay(row["id"], delay_ns) for row in rows)
        return [it for it in replays if it is not None]

    def purge(self) -> int:
        """Remove every entry; returns how many there were."""
        answer = self._connection.request("dead.purge", queue=self._queue)
        return int(answer["purged"])

    def _walk(self, limit: int | None, since_ns: int) -> Iterator[dict[str, Any]]:
        """Yield the entries that there are now; later ones have a higher number."""
        left, before = limit, None
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            rows = self._rows(size, before=before, since_ns=since_ns)
            yield from rows
            if len(rows) < size:
                return
            before = rows[-1]["seq"]
            left = None if left is None else left - size

    def _rows(
        self, limit: int, *, before: int | None = None, since_ns: int = 0
    ) -> Sequence[dict[str, Any]]:
        answer = self._connection.request(
            "dead.list",
            queue=self._queue,
            limit=limit,
            before=before,
            sinceNs=since_ns,
            brief=True,
        )
        rows: Sequence[dict[str, Any]] = answer["letters"]
        return rows

    def _row(self, task_id: bytes) -> dict[str, Any] | None:
        letter: dict[str, Any] | None = self._connection.request(
            "dead.get", id=task_id
        )["letter"]
        if letter is None:
            return None
        return {**letter, "id": letter["task_id"], "diedNs": letter["died_ns"]}

    def _known_row(self, task_id: bytes) -> dict[str, Any]:
        row = self._row(task_id)
        if row is None:
            raise StemError(
                f"there is no dead letter {format_id(task_id)}",
                hint="stem-actor dlq list shows them",
            )
        return row

    def _letter(self, row: Mapping[str, Any]) -> DeadLetter:
        return DeadLetter(
            id=format_id(row["id"]),
            task=row["name"],
            queue=row["queue"],
            error=self._error(row),
            attempt=row["attempt"],
            starts=row["starts"],
            died_at=from_wall_ns(row["diedNs"]),
        )

    def _error(self, row: Mapping[str, Any]) -> TaskError:
        try:
            return self._decoded(row["error"])
        except PayloadError:  # a list cuts long ones off
            whole = self._row(row["id"])
        try:
            return TaskError() if whole is None else self._decoded(whole["error"])
        except PayloadError as error:
            return TaskError(type="Unreadable", message=f"the entry's error: {error}")

    def _decoded(self, payload: bytes) -> TaskError:
        clear = unpack_failure(payload)
        try:
            return read_failure(payload, self._connection.encoders)[0]
        except (PayloadError, EncoderNotRegistered) as error:
            return replace(clear, message=f"({error})")  # one of many must not hide all

    def _replay(self, task_id: bytes, delay_ns: int) -> Replay | None:
        row = self._row(task_id)
        if row is None:
            return None  # somebody else replays too, and was faster
        record = unpack_record(row["record"])
        body = self._connection.unspool(record.body)
        head = replace(
            record.head,
            task_id=_NO_ID,
            flags=record.head.flags & ~SPOOLED,
            created_ns=0,
            expires_ns=0,
            deadline_ns=0,
            not_before_ns=_CLOCK.wall_ns() + delay_ns if delay_ns else 0,
        )
        raw_id, _ticket = self._connection.submit(
            head.pack(), body, queue=head.queue, timeout_ns=5_000_000_000
        )
        self._connection.request("dead.remove", ids=[task_id])
        return Replay(self._letter(row), format_id(raw_id))
