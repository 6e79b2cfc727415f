"""``stem-actor tasks``: list tasks, show and revoke one."""

from __future__ import annotations

from typing import Any, Final

import click

from stem_actor.cli.output import Output
from stem_actor.cli.target import connected, takes_ring, task_id
from stem_actor.cli.verdict import show_stacks, show_verdict, wire_of
from stem_actor.errors import StemError
from stem_actor.ids import format_id
from stem_actor.model.duration import from_wall_ns
from stem_actor.model.state import TaskState
from stem_actor.model.status import TaskStatus
from stem_actor.ring.directory import RingDirectory

__all__ = ["command"]

#: So many the supervisor tells at a time.
_MOST: Final = 200
_SHOWN: Final = (
    "id", "name", "queue", "state", "attempt", "starts", "created", "waiting",
)  # fmt: skip


@click.group("tasks")
def command() -> None:
    """List, show and revoke tasks."""


@command.command("list")
@click.option("--state", type=click.Choice([*map(str, TaskState)]), help="Only these.")
@click.option("--queue", help="Only of this queue.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write the tasks as JSON.")
@takes_ring
def list_tasks(
    directory: RingDirectory,
    state: str | None,
    queue: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """
    Show the latest tasks, those that are kept after their end included.

    A finished task is shown without its name, which is not kept.
    """
    output = Output(as_json=as_json)
    with connected(directory) as connection:
        answer = connection.request("list", state=state, queue=queue, limit=limit)
    rows = [_row(it) for it in answer["tasks"]]
    if as_json:
        output.json({"tasks": rows, "isWhole": answer["isWhole"]})
        return 0
    columns = ("id", "task", "queue", "state", "attempt", "starts", "created", "waits")
    output.table(columns, [[row[name] for name in _SHOWN] for row in rows])
    more = "" if answer["isWhole"] else "; there may be more"
    output.line(f"{len(rows):,} tasks{more}")
    return 0


@command.command("show")
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Write the status as JSON.")
@takes_ring
def show_task(directory: RingDirectory, id_: str, as_json: bool) -> int:
    """Show the status of task ID, and how its last start has ended."""
    raw = task_id(id_)
    with connected(directory) as connection:
        status = connection.status(raw)
    if status is None:
        raise _unknown(id_)
    output = Output(as_json=as_json)
    if as_json:
        output.json(_facts(status))
        return 0
    blocks = ("error", "verdict")
    output.facts(
        {name: value for name, value in _facts(status).items() if name not in blocks}
    )
    if status.error is not None:
        output.line(f"error    {status.error.type}: {status.error.message}")
    if status.verdict is not None:
        show_verdict(status.verdict, output)
    stack = None if status.error is None else status.error.stack
    show_stacks(status.verdict, stack, output)
    return 0


@command.command("revoke")
@click.argument("id_", metavar="ID")
@click.option("--terminate", is_flag=True, help="Also end it if it runs.")
@click.option("--reason", help="Kept with its record.")
@takes_ring
def revoke_task(
    directory: RingDirectory, id_: str, terminate: bool, reason: str | None
) -> int:
    """Forbid task ID to run."""
    raw = task_id(id_)
    with connected(directory) as connection:
        revoked = connection.revoke(raw, terminate=terminate, reason=reason)
        status = None if revoked else connection.status(raw)
    if revoked:
        Output().line(f"{id_} is revoked")
        return 0
    if status is None:
        raise _unknown(id_)
    hint = None if status.is_terminal or terminate else "--terminate ends it"
    raise StemError(f"task {id_} cannot be revoked: it is {status.state}", hint=hint)


def _unknown(id_: str) -> StemError:
    return StemError(
        f"the ring knows no task {id_}",
        hint="results are kept for result_ttl, and while there are slots",
    )


def _row(row: dict[str, Any]) -> dict[str, object]:
    """Return a row of the supervisor's list as it is shown."""
    created, finished = row["createdNs"], row["finishedNs"]
    return {
        "id": format_id(row["id"]),
        "name": row["name"],
        "queue": row["queue"],
        "state": row["state"],
        "attempt": row["attempt"],
        "starts": row["starts"],
        "created": _time(created),
        "finished": _time(finished),
        "waiting": row["waiting"],
    }


def _time(wall_ns: int) -> str | None:
    if not wall_ns:
        return None
    return from_wall_ns(wall_ns).isoformat(timespec="milliseconds")


def _facts(status: TaskStatus) -> dict[str, object]:
    created, updated = status.created_at, status.updated_at
    return {
        "id": status.id,
        "state": str(status.state),
        "attempt": status.attempt,
        "starts": status.starts,
        "payload": status.payload,
        "meta": dict(status.meta),
        "created": None if created is None else created.isoformat(),
        "updated": None if updated is None else updated.isoformat(),
        "error": None if status.error is None else status.error.to_wire(),
        "verdict": wire_of(status.verdict),
    }
