"""``stem-actor queues``: list, pause, resume and purge."""

from __future__ import annotations

import click

from stem_actor.actor.host.connection import Connection
from stem_actor.cli.output import Output
from stem_actor.cli.target import connected, takes_ring
from stem_actor.errors import StemError
from stem_actor.ring.directory import RingDirectory

__all__ = ["command"]


@click.group("queues")
def command() -> None:
    """List, pause, resume and purge queues."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write the queues as JSON.")
@takes_ring
def list_queues(directory: RingDirectory, as_json: bool) -> int:
    """Show each queue and what it holds."""
    output = Output(as_json=as_json)
    with connected(directory) as connection:
        rows = connection.request("queues")["queues"]
    if as_json:
        output.json({"queues": rows})
        return 0
    output.table(
        ("queue", "ready", "delayed", "running", "paused"),
        [
            (it["queue"], it["ready"], it["delayed"], it["running"], it["paused"])
            for it in rows
        ],
    )
    return 0


@command.command("pause")
@click.argument("queue")
@takes_ring
def pause_queue(directory: RingDirectory, queue: str) -> int:
    """Start nothing more from QUEUE; what runs goes on."""
    return _set_paused(directory, queue, paused=True)


@command.command("resume")
@click.argument("queue")
@takes_ring
def resume_queue(directory: RingDirectory, queue: str) -> int:
    """Start tasks from QUEUE again."""
    return _set_paused(directory, queue, paused=False)


@command.command("purge")
@click.argument("queue")
@takes_ring
def purge_queue(directory: RingDirectory, queue: str) -> int:
    """Cancel what waits in QUEUE; what runs goes on."""
    with connected(directory) as connection:
        answer = connection.request("purge", queue=queue)
        if not answer["found"]:
            raise _unknown(connection, queue)
    output = Output()
    output.line(f"{answer['purged']:,} tasks of {queue} cancelled")
    if answer["left"]:
        output.line(f"{answer['left']:,} are left: {answer['why']}")
    return 0


def _set_paused(directory: RingDirectory, queue: str, *, paused: bool) -> int:
    with connected(directory) as connection:
        answer = connection.request("pause", queue=queue, paused=paused)
        if not answer["found"]:
            raise _unknown(connection, queue)
    Output().line(f"{queue} is {'paused' if paused else 'open'}")
    return 0


def _unknown(connection: Connection, queue: str) -> StemError:
    rows = connection.request("queues")["queues"]
    known = ", ".join(sorted(it["queue"] for it in rows)) or "none yet"
    return StemError(f"the ring has no queue {queue!r}", hint=f"it has: {known}")
