"""``stem-actor dlq``: list, show, replay and purge what failed for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from stem_actor.cli.output import Output
from stem_actor.cli.target import connected, takes_ring, task_id
from stem_actor.cli.verdict import show_stacks, show_verdict, wire_of
from stem_actor.control.dead_letters import DeadLetter, DeadLetters
from stem_actor.errors import PayloadError, StemError
from stem_actor.ids import format_id
from stem_actor.ring.directory import RingDirectory

__all__ = ["command"]

#: So many fit one answer of the supervisor, whatever their errors are.
_PAGE: Final = 50


@click.group("dlq")
def command() -> None:
    """List, show, replay and purge dead letters: tasks that failed for good."""


@command.command("list")
@click.option("--queue", help="Only of this queue.")
@click.option("--limit", type=click.IntRange(1, _PAGE), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write the entries as JSON.")
@takes_ring
def list_letters(
    directory: RingDirectory, queue: str | None, limit: int, as_json: bool
) -> int:
    """Show the latest entries."""
    output = Output(as_json=as_json)
    with connected(directory) as connection:
        letters = DeadLetters(connection, queue).list(limit=limit)
        stats = connection.request("stats")
    if as_json:
        output.json(
            {
                "letters": [_facts(letter) for letter in letters],
                "total": stats["deadLetters"],
                "dropped": stats["deadLettersDropped"],
            }
        )
        return 0
    _show_table(letters, output)
    output.line(f"{len(letters):,} of {stats['deadLetters']:,} entries")
    if stats["deadLettersDropped"]:
        output.line(f"{stats['deadLettersDropped']:,} older ones were dropped")
    return 0


@command.command("show")
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Write the entry as JSON.")
@takes_ring
def show_letter(directory: RingDirectory, id_: str, as_json: bool) -> int:
    """Show the entry of task ID: arguments, last error, and verdict on that start."""
    known = format_id(task_id(id_))
    output = Output(as_json=as_json)
    with connected(directory) as connection:
        letters = DeadLetters(connection)
        letter = letters.get(known)
        if letter is None:
            raise StemError(
                f"there is no dead letter {known}",
                hint="stem-actor dlq list shows them",
            )
        facts = _facts(letter) | {"body": _body(letters, known)}
    if as_json:
        verdict = {"verdict": wire_of(letter.error.verdict)}
        output.json(facts | {"error": letter.error.to_wire()} | verdict)
        return 0
    output.facts(facts)
    if letter.error.verdict is not None:
        show_verdict(letter.error.verdict, output)
    show_stacks(letter.error.verdict, letter.error.stack, output)
    return 0


@command.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--queue", help="Only of this queue.")
@click.option("--limit", type=click.IntRange(1), help="At most so many; default: all.")
@click.option("--dry-run", is_flag=True, help="Show which ones, enqueue none.")
@click.option("--json", "as_json", is_flag=True, help="Write old and new ids as JSON.")
@takes_ring
def replay_letters(
    directory: RingDirectory,
    ids: Sequence[str],
    queue: str | None,
    limit: int | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """
    Enqueue entries again, the latest first, under new ids.

    They start as first attempts, without the expiry and deadline they had. An entry
    is removed once its task is on its way: an interruption may repeat one, and loses
    none.
    """
    if ids and (queue is not None or limit is not None):
        raise click.UsageError("--queue and --limit choose entries; so do IDs")
    output = Output(as_json=as_json)
    chosen = [format_id(task_id(text)) for text in ids] or None
    with connected(directory) as connection:
        letters = DeadLetters(connection, queue)
        replays = letters.replay(chosen, limit=limit, dry_run=dry_run)
    if dry_run:
        _show_plan([it.letter for it in replays], output)
        return 0
    done = {it.letter.id: it.new_id for it in replays}
    if as_json:
        output.json({"replayed": done})
        return 0
    output.table(("was", "is now"), list(done.items()))
    output.line(f"{len(done):,} enqueued again")
    return 0


@command.command("purge")
@click.option("--queue", help="Only of this queue.")
@takes_ring
def purge_letters(directory: RingDirectory, queue: str | None) -> int:
    """Remove all entries, or those of one queue."""
    with connected(directory) as connection:
        purged = DeadLetters(connection, queue).purge()
    Output().line(f"{purged:,} entries removed")
    return 0


def _show_plan(plan: Sequence[DeadLetter], output: Output) -> None:
    if output.as_json:
        output.json({"wouldReplay": [_facts(letter) for letter in plan]})
        return
    _show_table(plan, output)
    output.line(f"{len(plan):,} would be enqueued again; nothing was done")


def _show_table(letters: Sequence[DeadLetter], output: Output) -> None:
    output.table(
        ("id", "task", "queue", "attempts", "starts", "died", "error"),
        [
            (
                it.id,
                it.task,
                it.queue,
                it.attempt + 1,
                it.starts,
                it.died_at.isoformat(timespec="seconds"),
                f"{it.error.type}: {it.error.message}",
            )
            for it in letters
        ],
    )


def _facts(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "task": letter.task,
        "queue": letter.queue,
        "attempts": letter.attempt + 1,
        "starts": letter.starts,
        "died": letter.died_at.isoformat(),
        "error": f"{letter.error.type}: {letter.error.message}",
        "reason": letter.error.meta.get("reason"),
    }


def _body(letters: DeadLetters, id_: str) -> object:
    """Return the arguments as values; of those that cannot be read, why."""
    try:
        return letters.body(id_)
    except PayloadError as error:
        return f"unreadable: {error}"
