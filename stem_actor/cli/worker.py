"""``stem-actor worker``: run the workers of an app in the foreground."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from stem_actor import RingInUse
from stem_actor.cli import FAILURE
from stem_actor.cli.application import find_app
from stem_actor.cli.target import ring_url, takes_traceback
from stem_actor.model.options import check_queue

__all__ = ["command"]


@click.command("worker")
@click.argument("application", metavar="MODULE:APP")
@click.option("--workers", type=click.IntRange(1, 512), help="Default: the app's.")
@click.option("--queues", metavar="A,B", help="Take tasks of these queues only.")
@click.option("--name", metavar="RING", help="Name or path of the ring to run.")
@takes_traceback
def command(
    application: str,
    workers: int | None,
    queues: str | None,
    name: str | None,
    with_traceback: bool,
) -> int:
    """
    Run the workers of MODULE:APP until a signal comes.

    SIGTERM and SIGHUP drain; a second one, or SIGQUIT, ends at once, within two seconds
    even if the supervisor hangs; SIGINT gives running tasks one second. An app with an
    anonymous ring gets a named one here: the module's name and a hash of its file's
    path, which every command finds by --app MODULE:APP. Tasks that an earlier run has
    left in the ring go on.
    """
    app = find_app(application, with_traceback=with_traceback)
    if workers is not None:
        app.settings = replace(app.settings, workers=workers)
    if queues is not None:
        names = tuple(it.strip() for it in queues.split(",") if it.strip())
        if not names:
            raise click.BadParameter("it names no queue", param_hint="--queues")
        try:
            for queue in names:
                check_queue(queue)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--queues") from None
        app.settings = replace(app.settings, queues=names)
    if name is not None:
        app.settings = replace(app.settings, broker=ring_url(name))
    directory = app.directory
    owner = directory.owner()
    if owner is not None:
        raise RingInUse(owner, path=str(directory.path))
    host = app.make_host(directory)
    # The guardian ends this line with "ready", or the supervisor with why it cannot.
    sys.stderr.write(
        f"stem-actor: {app.settings.workers} workers of {application}, "
        f"ring {directory.path}: "
    )
    sys.stderr.flush()
    host.become_guardian()
    return FAILURE  # not reached: this process is another program by now
