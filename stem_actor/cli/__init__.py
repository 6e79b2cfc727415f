"""The command line: ``stem-actor``. Exit codes: 0 done, 64 usage, 70 failure."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from stem_actor.errors import SettingsError, StemError

__all__ = ["FAILURE", "USAGE", "main"]

USAGE: Final = 64
FAILURE: Final = 70
_INTERRUPTED: Final = 130

#: Each is a module of this folder with a ``command``, loaded when it is asked for:
#: a worker that imports the survey must not pay for the terminal's libraries.
_COMMANDS: Final = (
    "demo", "worker", "status", "health", "top", "queues", "tasks", "dlq",
    "events", "bench",
)  # fmt: skip


class _Commands(click.Group):
    """The commands, in the order in which one meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module: Any = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stem-actor", prog_name="stem-actor")
def _root() -> None:
    """Background tasks that cannot be lost, cannot run away, and need no server."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        arguments: As on the command line, without the program; None: ``sys.argv``.

    Returns:
        The exit code. A user's mistake is one line on stderr, never a traceback.
    """
    try:
        code = _root.main(
            None if arguments is None else list(arguments),
            prog_name="stem-actor",
            standalone_mode=False,
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        return _complain(_told(error), USAGE)
    except SettingsError as error:
        return _complain(str(error), USAGE)
    except StemError as error:
        return _complain(str(error), FAILURE)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", _INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone (``| head``); the interpreter's last flush must not
        # complain about it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    return code if isinstance(code, int) else 0


def _told(error: click.ClickException) -> str:
    """Return click's message, and what to do where it does not say that."""
    text, context = error.format_message(), getattr(error, "ctx", None)
    if context is None or isinstance(error, click.BadOptionUsage):
        return text
    if "Did you mean" in text:  # newer versions of click suggest by themselves
        return text
    if isinstance(context.command, click.Group):
        there = context.command.list_commands(context)
        near = difflib.get_close_matches(text.split("'")[1], there, n=1)
        hint = f"did you mean {near[0]!r}?" if near else _list(there)
        return f"{text.rstrip('.')}; {hint}"
    is_value = isinstance(error, click.BadParameter)
    if is_value and not isinstance(error, click.MissingParameter):
        return text
    return f"{text.rstrip('.')}; see {context.command_path} --help"


def _list(names: Sequence[str]) -> str:
    return f"there are: {', '.join(names)}"


def _complain(text: str, code: int) -> int:
    click.echo(f"stem-actor: {' '.join(text.split())}", err=True)
    return code
