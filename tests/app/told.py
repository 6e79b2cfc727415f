"""What the tests of events share: handlers, and looks at a stream."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import TypeVar

from stem_actor import (
    Event,
    EventStream,
    StemApp,
    TaskContext,
    TaskReceived,
    TaskRunEnded,
    TaskStarted,
    TaskSucceeded,
)

__all__ = ["LIFE", "TIMEOUT_S", "add_talkers", "next_one", "of_type", "types", "up_to"]

E = TypeVar("E", bound=Event)

TIMEOUT_S = 30.0
LIFE = (TaskReceived, TaskStarted, TaskSucceeded, TaskRunEnded)


def talk(context: TaskContext) -> None:
    context.progress(50, {"step": "half"})
    context.heartbeat()
    context.extend_lease(2)


def hold_on() -> None:
    """Let no interruption end it: only a kill does."""
    while True:
        try:
            signal.pause()
        except BaseException:  # noqa: S112
            continue


def save(context: TaskContext) -> None:
    context.meta["page"] = 7
    raise ConnectionError("gone")


def add_talkers(app: StemApp) -> StemApp:
    """Register the handlers above with *app*, and return it."""
    app.task(name="talk")(talk)
    app.task(name="save", max_retries=1)(save)
    app.task(name="hold_on", soft_time_limit=0.2, hard_time_limit=0.5, max_retries=1)(
        hold_on
    )
    return app


def next_one(stream: EventStream) -> Event:
    event = stream.get(TIMEOUT_S)
    assert event is not None, "nothing more has come"
    return event


def up_to(stream: EventStream, last: type[E]) -> list[Event]:
    """Return the events up to the first of *last*."""
    found = [next_one(stream)]
    while not isinstance(found[-1], last):
        found.append(next_one(stream))
    return found


def types(events: Iterable[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def of_type(events: Iterable[Event], cls: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, cls)]
