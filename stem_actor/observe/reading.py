"""Reading: from the wire form of events to their classes, and which are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, cast

import msgspec

from stem_actor.errors import EncoderNotRegistered, PayloadError
from stem_actor.ids import format_id
from stem_actor.model.duration import from_wall_ns
from stem_actor.model.error import TaskError
from stem_actor.model.events import (
    Event,
    EventsDropped,
    TaskCancelled,
    TaskEvent,
    TaskFailed,
    TaskHeartbeat,
    TaskLapsed,
    TaskProgress,
    TaskReceived,
    TaskReplayed,
    TaskRetried,
    TaskRunEnded,
    TaskStarted,
    TaskSucceeded,
    TaskTimeout,
    WorkerDied,
    WorkerEventType,
    WorkerReady,
    WorkerStopped,
    WorkerStopping,
)
from stem_actor.model.state import TaskState
from stem_actor.model.verdict import Verdict
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.wire import unpack
from stem_actor.ring.core import Fault
from stem_actor.ring.news import NO_WORKER, News, NewsType, unpack_news
from stem_actor.ring.producer import Kind
from stem_actor.ring.spool import Spool, is_claim
from stem_actor.tasks.outcome import (
    read_failure,
    unpack_cancellation,
    unpack_failure,
    unpack_progress,
)

__all__ = ["EVENTS", "EventKind", "EventReader", "kinds_of", "wanted_by"]

EventKind = type[Event] | WorkerEventType
"""What can be asked for: a class, with those derived from it, or a kind."""

EVENTS: Final[Mapping[int, type[Event]]] = {
    NewsType.RECEIVED: TaskReceived,
    NewsType.STARTED: TaskStarted,
    NewsType.SUCCEEDED: TaskSucceeded,
    NewsType.FAILED: TaskFailed,
    NewsType.RETRIED: TaskRetried,
    NewsType.CANCELLED: TaskCancelled,
    NewsType.EXPIRED: TaskLapsed,
    NewsType.REPLAYED: TaskReplayed,
    NewsType.TIMEOUT: TaskTimeout,
    NewsType.PROGRESS: TaskProgress,
    NewsType.HEARTBEAT: TaskHeartbeat,
    NewsType.RUN_ENDED: TaskRunEnded,
    NewsType.WORKER_READY: WorkerReady,
    NewsType.WORKER_STOPPING: WorkerStopping,
    NewsType.WORKER_STOPPED: WorkerStopped,
    NewsType.WORKER_DIED: WorkerDied,
}
"""The class of each ``NewsType``."""

_STATES: Final = {
    Kind.SUCCEEDED: TaskState.SUCCEEDED,
    Kind.FAILED: TaskState.FAILED,
    Kind.CANCELLED: TaskState.CANCELLED,
    Kind.RETRY: TaskState.RETRIED,
    Kind.HANDED_BACK: TaskState.QUEUED,
}


def kinds_of(kinds: Iterable[EventKind]) -> tuple[type[Event], ...]:
    """
    Return the classes that *kinds* mean; none: all.

    Raises:
        TypeError: If one is neither a class of events nor a ``WorkerEventType``.
    """
    found: list[type[Event]] = []
    for kind in kinds:
        if isinstance(kind, WorkerEventType):
            found += [cls for cls in EVENTS.values() if cls.type is kind]
        elif isinstance(kind, type) and issubclass(kind, Event):
            found.append(kind)
        else:
            raise TypeError(
                f"{kind!r} is no class of events; see stem_actor.Event and below"
            )
    return tuple(found) or (Event,)


def wanted_by(classes: Iterable[type[Event]]) -> int:
    """Return a bit for each ``NewsType`` whose class is, or derives from, one."""
    wanted, asked = 0, tuple(classes)
    for number, cls in EVENTS.items():
        if issubclass(cls, asked):
            wanted |= 1 << number
    return wanted


class EventReader:
    """
    Makes events of their wire forms.

    Args:
        spool: Where a large error lies.
        encoders: What decodes errors and progress; None: they stay as they are.
    """

    def __init__(
        self, spool: Spool, encoders: TaskPayloadEncoderRegistry | None = None
    ) -> None:
        self._spool = spool
        self._encoders = encoders

    def read(self, record: bytes) -> Event:
        """
        Return the event in *record*; what cannot be read of it is said in its error.

        Raises:
            RingCorrupt: If it is none.
        """
        news = unpack_news(record)
        if news.type >= NewsType.WORKER_READY:
            return self._of_worker(news)
        cls = cast("type[TaskEvent]", EVENTS[news.type])
        facts: dict[str, Any] = {
            "at": from_wall_ns(news.at_ns),
            "task_id": format_id(news.task_id),
            "name": news.name,
            "queue": news.queue,
            "attempt": news.attempt,
            "starts": news.starts,
        }
        if news.worker != NO_WORKER:
            facts.update(worker=news.worker, pid=news.pid or None)
        self._add(news, facts)
        return cls(**facts)

    @staticmethod
    def dropped(count: int | None, at_ns: int) -> EventsDropped:
        """Return the event that *count* are missing."""
        return EventsDropped(at=from_wall_ns(at_ns), count=count)

    # --- inside

    def _add(self, news: News, facts: dict[str, Any]) -> None:
        match news.type:
            case NewsType.FAILED | NewsType.RETRIED:
                self._add_error(news, facts)
                if news.type == NewsType.RETRIED:
                    facts["delay"] = news.value / 1e9
            case NewsType.CANCELLED:
                facts["reason"], facts["detail"] = _cancellation(news.payload)
            case NewsType.REPLAYED:
                crashed: Literal["crashed", "collateral"] = "crashed"
                is_ours = news.kind == Fault.COLLATERAL
                facts["reason"] = "collateral" if is_ours else crashed
                facts["verdict"] = _verdict_in(news.payload)
            case NewsType.TIMEOUT:
                facts["level"] = "hard" if news.kind else "soft"
                facts["limit"] = news.value / 1e9 if news.value else None
            case NewsType.PROGRESS:
                facts["percent"], facts["data"] = self._progress(news.payload)
            case NewsType.HEARTBEAT:
                facts["extends"] = news.value / 1e9
            case NewsType.RUN_ENDED:
                facts["state"] = _STATES[news.kind]

    def _add_error(self, news: News, facts: dict[str, Any]) -> None:
        try:
            payload = news.payload
            if is_claim(payload):
                payload = self._spool.get(payload)
            error = unpack_failure(payload)
            try:
                error, facts["meta"] = read_failure(payload, self._encoders)
            except (PayloadError, EncoderNotRegistered) as refused:
                error = replace(error, message=f"({refused})")
        except PayloadError as refused:
            error = TaskError.from_exception(refused)
        facts["error"] = error
        verdict = error.verdict
        if "worker" not in facts and verdict is not None:
            facts.update(worker=verdict.worker, pid=verdict.pid)

    def _progress(self, payload: bytes) -> tuple[float, object]:
        for encoders in (self._encoders, None):  # the percent is clear, at least
            try:
                signal = unpack_progress(payload, encoders)
            except (PayloadError, EncoderNotRegistered):
                continue
            return signal.percent, signal.data
        return 0.0, None

    @staticmethod
    def _of_worker(news: News) -> Event:
        at, worker, pid = from_wall_ns(news.at_ns), news.worker, news.pid
        if news.type == NewsType.WORKER_STOPPING:
            reason = msgspec.msgpack.decode(news.payload, type=str)
            return WorkerStopping(at=at, worker=worker, pid=pid, reason=reason)
        if news.type != NewsType.WORKER_DIED:
            cls = cast("type[WorkerReady]", EVENTS[news.type])
            return cls(at=at, worker=worker, pid=pid)
        wire = msgspec.msgpack.decode(news.payload)
        return WorkerDied(
            at=at,
            worker=worker,
            pid=pid,
            signal_number=wire["signal"],
            exit_status=wire["exitStatus"],
            oom=wire["oom"],
            reason=wire["reason"],
        )


def _verdict_in(payload: bytes) -> Verdict | None:
    """Return the verdict in *payload*, the words of a worker at times."""
    try:
        wire = unpack(payload)
        return Verdict.from_wire(wire) if isinstance(wire, dict) else None
    except (PayloadError, TypeError, ValueError):
        return None


def _cancellation(payload: bytes) -> tuple[str, str | None]:
    try:
        return unpack_cancellation(payload)
    except PayloadError:  # a wild write of its worker
        return "unreadable", None
