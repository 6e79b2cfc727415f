"""``stem-actor status``: the counters of a running ring."""

from __future__ import annotations

from typing import Any

import click

from stem_actor.cli.output import Output
from stem_actor.cli.target import connected, takes_ring
from stem_actor.ring.directory import RingDirectory

__all__ = ["command"]


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Write the facts as JSON.")
@takes_ring
def command(directory: RingDirectory, as_json: bool) -> int:
    """Show what a ring has done, holds and is run by."""
    output = Output(as_json=as_json)
    with connected(directory) as connection:
        stats = connection.request("stats")
        workers = connection.request("workers")["workers"]
    stats.pop("seq", None)
    if as_json:
        owner = {"ring": str(directory.path), "supervisor": directory.owner()}
        output.json({**owner, **stats, "workers": workers})
        return 0
    output.facts(
        {
            "ring": directory.path,
            "supervisor": f"pid {directory.owner()}, epoch {stats['epoch']}",
            "waiting": stats["waiting"],
            "oldest ready": f"{stats['oldestReadyNs'] / 1e9:,.1f} s",
            "live": f"{stats['live']:,} of {stats['slots']:,} slots",
            "results kept": stats["retained"],
            "finished": stats["finished"],
            "succeeded": stats["succeeded"],
            "failed": stats["failed"],
            "cancelled": stats["cancelled"],
            "retries": stats["retried"],
            "starts": stats["starts"],
            "crashes": stats["crashes"],
            "repeated": stats["repeated"],
            "dead letters": stats["deadLetters"],
            "producers": stats["producers"] - 1,  # this command is one
        }
    )
    output.line()
    output.table(
        ("worker", "pid", "phase", "role", "finished"),
        [
            (
                row["index"],
                str(row["pid"]),
                row["phase"],
                _role(row),
                row["finished"],
            )
            for row in workers
        ],
    )
    return 0


def _role(row: dict[str, Any]) -> str:
    if row["stuckSinceNs"]:
        return "cannot be killed"
    return "spare" if row["spare"] else "works"
