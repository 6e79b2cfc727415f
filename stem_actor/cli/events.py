"""``stem-actor events``: what happens to tasks and workers, as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Final

import click

from stem_actor.cli.output import Output, printable
from stem_actor.cli.target import connected, encoders, takes_ring, task_id
from stem_actor.model.error import TaskError
from stem_actor.model.events import Event, EventsDropped
from stem_actor.model.verdict import Verdict
from stem_actor.observe.reading import EVENTS
from stem_actor.observe.stream import EventStream
from stem_actor.observe.subscription import Subscription
from stem_actor.ring.directory import RingDirectory

__all__ = ["command"]

_SIGNALS: Final[Mapping[str, type[Event]]] = {
    cls.signal: cls for cls in EVENTS.values()
}
#: Facts that have a place of their own in a line, or are not worth one.
_PLACED: Final = frozenset({"at", "task_id", "name", "queue", "meta"})


@click.command("events")
@click.option("--task", "id_", metavar="ID", help="Only those of this task.")
@click.option(
    "--type", "signals", multiple=True, metavar="SIGNAL",
    type=click.Choice(sorted(_SIGNALS)), help="Only these, such as task-failed.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each.")
@takes_ring
def command(
    directory: RingDirectory, id_: str | None, signals: tuple[str, ...], as_json: bool
) -> int:
    """Print events until Ctrl-C, over restarts of the supervisor, too."""
    raw = None if id_ is None else task_id(id_)
    asked = tuple(_SIGNALS[it] for it in signals)
    classes = (*asked, EventsDropped) if asked else (Event,)
    with connected(directory):
        pass  # says why, if nobody runs it
    output = Output(as_json=as_json)
    subscription = Subscription(directory, classes, raw, encoders=encoders())
    with EventStream(subscription) as stream:
        try:
            stream.until_ready()
            click.echo("listening; Ctrl-C ends", err=True)
            for event in stream:
                if as_json:
                    output.json(_facts(event))
                else:
                    output.line(_line(event))
                output.flush()
        except KeyboardInterrupt:
            return 0
    return 0


def _facts(event: Event) -> dict[str, object]:
    facts: dict[str, object] = {"event": event.signal}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, TaskError | Verdict):
            value = value.to_wire()
        facts[field.name] = value
    return facts


def _line(event: Event) -> str:
    words = [event.at.astimezone().time().isoformat("milliseconds"), event.signal]
    words += [
        str(getattr(event, it)) for it in ("task_id", "name") if hasattr(event, it)
    ]
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in _PLACED or value is None or value is False:
            continue
        if isinstance(value, TaskError):
            value = f"{value.type}: {value.message}"
        words.append(f"{field.name}={value}")
    return printable(" ".join(words))
