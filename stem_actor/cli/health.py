"""``stem-actor health``: one word for a watchdog, and why."""

from __future__ import annotations

from typing import Final

import click

from stem_actor.cli import FAILURE
from stem_actor.cli.output import Output
from stem_actor.cli.target import connected, takes_ring
from stem_actor.errors import StemError
from stem_actor.ring.directory import RingDirectory

__all__ = ["command"]

_ANSWER_S: Final = 5.0


@click.command("health")
@click.option("--json", "as_json", is_flag=True, help="Write the facts as JSON.")
@takes_ring
def command(directory: RingDirectory, as_json: bool) -> int:
    """Exit 0 if the ring is healthy and 70 if not, with the reasons."""
    output = Output(as_json=as_json)
    workers, problems = _look(directory)
    if as_json:
        output.json({"ok": not problems, "problems": problems, "workers": workers})
    elif problems:
        output.line(f"red: {'; '.join(problems)}", style="red")
    else:
        output.line(f"green: {workers} workers", style="green")
    return FAILURE if problems else 0


def _look(directory: RingDirectory) -> tuple[int, list[str]]:
    """Return how many workers live, and what is wrong."""
    try:
        with connected(directory) as connection:
            answer = connection.request("health", timeout_s=_ANSWER_S)
    except StemError as error:
        return 0, [str(error)]
    return int(answer["workers"]), [str(it) for it in answer["problems"]]
