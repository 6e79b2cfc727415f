"""Statuses of tasks as the supervisor tells them: of one, or a list of many."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from stem_actor.actor.supervisor.request import Request, number_in, queue_in
from stem_actor.actor.supervisor.station import Station
from stem_actor.engine.head import group_in
from stem_actor.errors import PayloadError, RingCorrupt, StemError
from stem_actor.model.rate import rate_text
from stem_actor.ring.claimed import NO_LIMITER, duplicates_of, limit_of, locate
from stem_actor.ring.core import Fault, SlotView, State
from stem_actor.ring.record import GROUP_CLAIM, claims_of, unpack_record

__all__ = ["list_statuses", "status_of"]

#: The state of a finished slot, by the kind of its outcome.
_KINDS: Final = {1: "succeeded", 2: "failed", 3: "cancelled"}
#: Where tasks of a state are; which of these a task is in, its slot tells.
_SLOTS: Final = {
    "queued": (State.READY, State.DELAYED, State.LEASED, State.HELD, State.PARKED),
    "running": (State.LEASED, State.DRIVEN),
    "retried": (State.DELAYED,),
    **dict.fromkeys(_KINDS.values(), (State.FINISHED,)),
}
_ANY: Final = tuple({state for states in _SLOTS.values() for state in states})
#: So many rows fit one answer; so many slots are looked at for it, the latest first.
_ROWS_MAX: Final = 200
_LOOKS: Final = 2048

Answer = dict[str, object]


def status_of(station: Station, task_id: bytes) -> Answer | None:
    """
    Return the status of a task as a plain map; None if it is unknown.

    An enqueue that was answered with the id of a live task has the status of that one.
    """
    core = station.core
    slot = locate(core, task_id)
    if slot is None:
        return _submitted(station, task_id)
    state = _state(slot, is_running=_is_running(station, slot))
    merged, latest = duplicates_of(core, slot.number)
    return {
        "id": slot.task_id,
        "isAdmitted": True,
        "merged": merged,
        "duplicates": [(it.task_id, it.at_ns) for it in latest],
        "state": state,
        "kind": slot.out_kind if slot.state == State.FINISHED else 0,
        "queue": core.queue_name(slot.queue),
        "attempt": slot.attempt,
        "starts": slot.starts + (state == "running"),
        "crashes": slot.crashes,
        "finishedNs": slot.finished_ns,
        "payload": b"" if _has_reason(slot) else core.outcome(slot),
        "waiting": _waiting(station, slot, state),
        "createdNs": _created(station, slot),
        "parts": station.canvases.counts(task_id),
    }


def _has_reason(slot: SlotView) -> bool:
    """Whether what stands in the place of its last error is why it was revoked."""
    is_held = slot.state == State.HELD and slot.fault == Fault.REVOKED
    return slot.is_revoked or is_held


def _submitted(station: Station, task_id: bytes) -> Answer | None:
    """The status of a task that is accepted, and for which there is no slot yet."""
    found = station.core.submitted(task_id)
    if found is None:
        return None
    record, is_revoked = found
    head = unpack_record(record).head
    return {
        "id": task_id,
        "isAdmitted": False,
        "merged": 0,
        "duplicates": [],
        "state": "queued",
        "kind": 0,
        "queue": head.queue,
        "attempt": 0,
        "starts": 0,
        "crashes": 0,
        "finishedNs": 0,
        "payload": b"",
        "waiting": "in the submit ring" + (", revoked" if is_revoked else ""),
        "createdNs": head.created_ns,
    }


def list_statuses(station: Station, request: Request) -> Answer:
    """
    Return tasks, live and finished, the latest ids first: ``tasks``, and ``isWhole``
    unless there may be more.

    A request has ``state`` and ``queue``, each None for all, and ``limit``, at most
    200. The latest 2,048 slots that may match are looked at, so that a full ring keeps
    nobody waiting. A finished task has no ``name`` any more.

    Raises:
        StemError: If there is no such state or queue.
    """
    core = station.core
    state, name = request.get("state"), request.get("queue")
    limit = max(1, min(number_in(request, "limit", default=20), _ROWS_MAX))
    if state is not None and (not isinstance(state, str) or state not in _SLOTS):
        raise StemError(
            f"there is no state {state!r}", hint=f"there are: {', '.join(_SLOTS)}"
        )
    queue = None if name is None else _queue_number(station, queue_in(request))
    wanted = _ANY if state is None else _SLOTS[state]
    found = core.ids_in(*wanted, queue=queue)
    latest = heapq.nlargest(_LOOKS, found)
    running = _running(station)
    rows: list[Answer] = []
    for _, number in latest:
        slot = core.slot(number)
        row_state = _state(slot, is_running=number in running)
        if state is not None and row_state != state:
            continue
        if len(rows) == limit:
            return {"tasks": rows, "isWhole": False}
        rows.append(_row(station, slot, row_state))
    return {"tasks": rows, "isWhole": len(found) <= _LOOKS}


def _row(station: Station, slot: SlotView, state: str) -> Answer:
    record = station.core.record(slot)
    return {
        "id": slot.task_id,
        "name": unpack_record(record).head.name if record else None,
        "queue": station.core.queue_name(slot.queue),
        "state": state,
        "attempt": slot.attempt,
        "starts": slot.starts + (state == "running"),
        "createdNs": _created(station, slot),
        "finishedNs": slot.finished_ns,
        "waiting": _waiting(station, slot, state),
    }


def _queue_number(station: Station, name: str) -> int:
    number = station.core.queue_number(name)
    if number is None:
        known = ", ".join(sorted(it for it, _ in station.core.queues()))
        raise StemError(
            f"the ring has no queue {name!r}", hint=f"it has: {known or 'none yet'}"
        )
    return number


def _state(slot: SlotView, *, is_running: bool) -> str:
    if slot.state == State.FINISHED:
        return _KINDS[slot.out_kind]
    if slot.state == State.DRIVEN or (slot.state == State.LEASED and is_running):
        return "running"
    if slot.state == State.DELAYED and slot.attempt:
        return "retried"
    return "queued"


def _created(station: Station, slot: SlotView) -> int:
    if slot.state == State.FINISHED:
        return slot.due_ns  # the record may be gone
    record = station.core.record(slot)
    return unpack_record(record).head.created_ns if record else 0


def _waiting(station: Station, slot: SlotView, state: str) -> str | None:
    holder = station.crew.unkillable.holder_of(slot)
    if holder is not None and (slot.state == State.HELD or state == "running"):
        return f"stuck: process {holder} was killed and does not die"
    if slot.state == State.FINISHED or state == "running":
        return None
    if slot.state == State.PARKED:
        return "no worker knows its name"
    if slot.state == State.DELAYED:
        return "its time has not come"
    if slot.state == State.HELD:
        return "its worker has just died"
    name = station.core.queue_name(slot.queue)
    if (name, True) in station.core.queues():
        return f"queue {name!r} is paused"
    if slot.state == State.READY and (kind := limit_of(station.core, slot.number)):
        return _limit_of(station, slot, kind)
    return "for a worker" if slot.state == State.READY else "in a worker's mailbox"


def _limit_of(station: Station, slot: SlotView, kind: int) -> str:
    """Return which limit it is that a ready task waits for."""
    if kind == NO_LIMITER:
        return "more rate limits are in use than there is room for"
    try:
        head = unpack_record(station.core.record(slot)).head
        claim = next(it for it in claims_of(head) if it.kind == kind)
        name = f"group {group_in(head)}" if kind == GROUP_CLAIM else head.name
    except (RingCorrupt, PayloadError, UnicodeDecodeError, StopIteration):
        return "a rate limit"
    return f"rate limit {name} {rate_text(claim.tokens, claim.span_ns)}"


def _is_running(station: Station, slot: SlotView) -> bool:
    if slot.state != State.LEASED:
        return False
    return slot.number in _cells(station, slot.owner)


def _running(station: Station) -> set[int]:
    """Return the numbers of all slots whose handlers run."""
    return {
        number
        for member in station.crew.members
        for number in _cells(station, member.index)
    }


def _cells(station: Station, worker: int) -> Iterator[int]:
    for cell in range(station.config.cells):
        found = station.core.running(worker, cell)
        if found:
            yield found[0]
