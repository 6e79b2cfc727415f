"""The command line: ``stem-actor``. Exit codes: 0 done, 64 usage, 70 failure."""

from __future__ import annotations

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
        return _complain(error.format_message(), USAGE)
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


def _complain(text: str, code: int) -> int:
    click.echo(f"stem-actor: {' '.join(text.split())}", err=True)
    return code
