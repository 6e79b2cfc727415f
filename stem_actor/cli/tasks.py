"""``stem-actor tasks``: show and revoke one task."""

from __future__ import annotations

import click

from stem_actor.cli.output import Output
from stem_actor.cli.target import connected, takes_ring, task_id
from stem_actor.errors import StemError
from stem_actor.model.status import TaskStatus
from stem_actor.ring.directory import RingDirectory

__all__ = ["command"]


@click.group("tasks")
def command() -> None:
    """Show and revoke tasks."""


@command.command("show")
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Write the status as JSON.")
@takes_ring
def show_task(directory: RingDirectory, id_: str, as_json: bool) -> int:
    """Show the status of task ID."""
    raw = task_id(id_)
    with connected(directory) as connection:
        status = connection.status(raw)
    if status is None:
        raise _unknown(id_)
    output = Output(as_json=as_json)
    if as_json:
        output.json(_facts(status))
        return 0
    output.facts(
        {name: value for name, value in _facts(status).items() if name != "error"}
    )
    if status.error is not None:
        output.line(f"error    {status.error.type}: {status.error.message}")
        for line in (status.error.stack or "").splitlines():
            output.line(f"  {line}")
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
    }
