"""``stem-actor worker``: run the workers of an app in the foreground."""

from __future__ import annotations

import click

from stem_actor.cli.application import find_app

__all__ = ["command"]


@click.command("worker")
@click.argument("application", metavar="MODULE:APP")
@click.option("--workers", type=click.IntRange(1, 512), help="Default: the app's.")
@click.option("--name", metavar="RING", help="Name of the ring; default: the app's.")
def command(application: str, workers: int | None, name: str | None) -> int:
    """
    Run the workers of MODULE:APP until a signal comes.

    SIGTERM drains; a second one, or SIGQUIT, ends at once; SIGINT gives running tasks
    one second. An app whose ring has no name gets one after its module.
    """
    app = find_app(application)
    ring = _ring_of(app, application, name)
