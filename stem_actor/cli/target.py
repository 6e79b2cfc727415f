"""The ring that a command speaks of: ``--ring NAME`` or ``--app module:app``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import psutil

from stem_actor.actor.host.attachment import attach
from stem_actor.actor.host.connection import Connection
from stem_actor.cli.application import find_app
from stem_actor.errors import BrokerUnavailable, SettingsError
from stem_actor.ids import parse_id
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.ring.directory import RingDirectory, parse_ring_url

__all__ = [
    "connected",
    "encoders",
    "ring_url",
    "takes_ring",
    "takes_traceback",
    "task_id",
]

Command = Callable[..., int]

_SHOWN: Final = 10
_ENCODERS: Final = "stem_actor.encoders"  # in the command's context


def takes_ring(command: Command) -> Command:
    """Give *command* the options, and the ring they name as first argument."""

    @click.option("--ring", metavar="NAME", help="Name or path of the ring.")
    @click.option(
        "--app", "application", metavar="MODULE:APP", help="App whose ring is meant."
    )
    @takes_traceback
    @functools.wraps(command)
    def with_ring(
        *args: object,
        ring: str | None,
        application: str | None,
        with_traceback: bool,
        **options: object,
    ) -> int:
        directory = _ring_of(ring, application, with_traceback=with_traceback)
        return command(directory, *args, **options)

    return with_ring


def takes_traceback(command: Command) -> Command:
    """Give *command* the option that shows why an app's module cannot be imported."""
    return click.option(
        "--traceback",
        "with_traceback",
        is_flag=True,
        help="Show the whole traceback if the module cannot be imported.",
    )(command)


@contextmanager
def connected(directory: RingDirectory) -> Iterator[Connection]:
    """
    Attach to a running ring for the time of the block.

    Raises:
        BrokerUnavailable: If nobody runs it, or its supervisor does not answer.
    """
    owner = directory.owner()
    if owner and is_stopped(owner):
        raise BrokerUnavailable(
            f"the supervisor is stopped: process {owner}", hint=f"kill -CONT {owner}"
        )
    if owner is None:
        raise _not_running(directory)
    try:
        connection = attach(directory)
    except OSError as error:
        raise BrokerUnavailable(
            f"the supervisor of the ring at {directory.path} does not answer: {error}"
        ) from error
    connection.encoders = encoders()
    try:
        yield connection
    finally:
        connection.close()


def encoders() -> TaskPayloadEncoderRegistry | None:
    """Return those of the app that ``--app`` names; None: payloads stay as they are."""
    context = click.get_current_context(silent=True)
    found = None if context is None else context.meta.get(_ENCODERS)
    return found if isinstance(found, TaskPayloadEncoderRegistry) else None


def _not_running(directory: RingDirectory) -> BrokerUnavailable:
    """Say so, and which rings beside it run: the name may be wrong."""
    others = (RingDirectory(it, is_anonymous=False) for it in _beside(directory.path))
    running = [it.path.name for it in others if it.owner() is not None]
    hint = "start the app, or run stem-actor worker"
    if running:
        hint = f"these run there: {', '.join(running)}"
    return BrokerUnavailable(
        f"no supervisor runs the ring at {directory.path}", hint=hint
    )


def _beside(path: Path) -> list[Path]:
    """Return the rings in the directory of *path*, by name; not more than ten."""
    return sorted(core.parent for core in path.parent.glob("*/core.seg"))[:_SHOWN]


def is_stopped(pid: int) -> bool:
    """Return whether a process is held by SIGSTOP or a debugger."""
    try:
        held = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        return psutil.Process(pid).status() in held
    except psutil.Error:
        return False


def ring_url(text: str) -> str:
    """
    Return the URL of the ring that *text* means: a name, a path or a ``ring://`` URL.

    Raises:
        SettingsError: If it is none of these.
    """
    url = f"ring://{Path(text).absolute() if '/' in text else text}"
    url = text if "://" in text else url
    if parse_ring_url(url).is_anonymous:
        raise SettingsError([f"{text!r} names no ring"], hint='use "ring://NAME"')
    return url


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


def _ring_of(
    ring: str | None, application: str | None, *, with_traceback: bool
) -> RingDirectory:
    if (ring is None) == (application is None):
        raise click.UsageError("say which ring: either --ring NAME or --app MODULE:APP")
    if ring is not None:
        return parse_ring_url(ring_url(ring))
    app = find_app(str(application), with_traceback=with_traceback)
    click.get_current_context().meta[_ENCODERS] = app.settings.encoders
    return app.directory
