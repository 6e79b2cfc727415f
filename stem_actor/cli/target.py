"""The ring that a command speaks of: ``--ring NAME`` or ``--app module:app``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from stem_actor.actor.connection import Connection, attach
from stem_actor.cli.application import find_app
from stem_actor.errors import SettingsError
from stem_actor.ids import parse_id
from stem_actor.ring.directory import RingDirectory, parse_ring_url

__all__ = ["connected", "parse_ring", "takes_ring", "task_id"]

Command = Callable[..., int]


def takes_ring(command: Command) -> Command:
    """Give *command* the two options, and the ring they name as first argument."""

    @click.option("--ring", metavar="NAME", help="Name or path of the ring.")
    @click.option(
        "--app", "application", metavar="MODULE:APP", help="App whose ring is meant."
    )
    @functools.wraps(command)
    def with_ring(
        *args: object, ring: str | None, application: str | None, **options: object
    ) -> int:
        return command(_ring_of(ring, application), *args, **options)

    return with_ring


@contextmanager
def connected(directory: RingDirectory) -> Iterator[Connection]:
    """
    Attach to a running ring for the time of the block.

    Raises:
        BrokerUnavailable: If nobody runs it.
    """
    connection = attach(directory)
    try:
        yield connection
    finally:
        connection.close()


def parse_ring(text: str) -> RingDirectory:
    """
    Return the ring that *text* means: a name, a path or a ``ring://`` URL.

    Raises:
        SettingsError: If it is none of these.
    """
    if "://" in text:
        found = parse_ring_url(text)
    elif "/" in text:
        found = RingDirectory(Path(text).absolute(), is_anonymous=False)
    else:
        found = parse_ring_url(f"ring://{text}")
    if found.is_anonymous:
        raise SettingsError([f"{text!r} names no ring"], hint='use "ring://NAME"')
    return found


def task_id(text: str) -> bytes:
    """
    Return the 16 bytes of a task id.

    Raises:
        BadParameter: If *text* is none.
    """
    try:
        return parse_id(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from None


def _ring_of(ring: str | None, application: str | None) -> RingDirectory:
    if (ring is None) == (application is None):
        raise click.UsageError("say which ring: either --ring NAME or --app MODULE:APP")
    if ring is not None:
        return parse_ring(ring)
    app = find_app(str(application))
    if app.directory.is_anonymous:
        raise SettingsError(
            [f"the ring of {application} is anonymous: only its host can reach it"],
            hint='give the app broker="ring://NAME"',
        )
    return app.directory
