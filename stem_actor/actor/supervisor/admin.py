"""What may be asked of a supervisor, and how it answers. Verb by verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from stem_actor.actor.supervisor.health import problems_of
from stem_actor.actor.supervisor.request import (
    Request,
    number_in,
    queue_in,
    task_id_in,
    task_ids_in,
    text_in,
)
from stem_actor.actor.supervisor.station import Station
from stem_actor.actor.supervisor.statuses import list_statuses, status_of
from stem_actor.errors import StemError
from stem_actor.ring.claimed import locate
from stem_actor.ring.core import Fault, SlotView, State
from stem_actor.ring.mailbox import Stop
from stem_actor.ring.native import Status, ffi, lib

__all__ = ["VERBS", "status_of", "watch"]

#: What a revoked start is given to clean up, before its worker is killed.
_GRACE_S: Final = 1.0
#: A round cancels some 4,000 tasks; of what comes in meanwhile, the rest is told.
_ROUNDS: Final = 64
_STILL_LEFT: Final = "the supervisor has no room to note more of them now; try again"
_JUST_COME: Final = "they were submitted meanwhile"
_LETTERS_MAX: Final = 100
_REASON_MAX: Final = 1_000

Answer = dict[str, object]


def watch(station: Station, number: int) -> None:
    """Have the core say when slot *number* finishes."""
    lib.sa_core_watch(station.core.handle, number)


def _status(station: Station, request: Request) -> Answer:
    return {"status": status_of(station, task_id_in(request))}


def _revoke(station: Station, request: Request) -> Answer:
    """
    Cancel what has not started; with ``terminate`` also end what runs.

    Raises:
        StemError: If there is no room to keep the reason until it has ended.
    """
    core = station.core
    task_id = task_id_in(request)
    reason = text_in(request, "reason", default="revoked", most=_REASON_MAX)
    if locate(core, task_id) is None:
        return {"revoked": _revoke_submitted(station, task_id, reason)}
    station.pump()  # an outcome that has been committed stands
    slot = locate(core, task_id)
    if slot is None or slot.state == State.FINISHED:
        return {"revoked": False}
    payload = msgspec.msgpack.encode({"reason": reason})
    terminate = bool(request.get("terminate"))
    if slot.state == State.DRIVEN:
        parts = station.canvases.revoke(slot, reason)
        for part in parts or ():
            _revoke_one(station, part, reason, payload, terminate=terminate)
        station.pump()
        return {"revoked": parts is not None}
    revoked = _revoke_one(station, slot.task_id, reason, payload, terminate=terminate)
    return {"revoked": revoked}


def _revoke_one(
    station: Station, task_id: bytes, reason: str, payload: bytes, *, terminate: bool
) -> bool:
    """Cancel a task that has a slot; False: it runs and is left alone, or has ended."""
    core = station.core
    slot = core.find(task_id)
    if slot is None or slot.state == State.FINISHED:
        return False
    rc = lib.sa_core_revoke(
        core.handle, slot.number, slot.gen, ffi.from_buffer(payload), len(payload)
    )
    if rc == Status.OK:
        station.pump()
        return True
    if slot.is_revoked or not terminate:
        return slot.is_revoked
    return _revoke_started(station, core.slot(slot.number), payload)


def _revoke_started(station: Station, slot: SlotView, payload: bytes) -> bool:
    """Forbid a start to go on: first in the ring, where no crash forgets it."""
    start = station.limits.start_of(slot)
    if start is None:
        return False
    handle, size = station.core.handle, len(payload)
    rc = lib.sa_core_forbid(handle, slot.number, slot.gen, payload, size)
    if rc == Status.FULL:
        raise StemError(
            "the arena has no room to keep the reason of the revoke",
            hint="try again with a shorter one, or raise arena_bytes",
        )
    if rc != Status.OK:
        return False
    station.limits.interrupt(
        start, Stop.REVOKED, grace_s=_GRACE_S, fault=Fault.REVOKED, reason="revoked"
    )
    return True


def _revoke_submitted(station: Station, task_id: bytes, reason: str) -> bool:
    """
    Have a task that there is no slot for yet cancelled when it gets one.

    Raises:
        StemError: If too many of them wait for theirs already.
    """
    payload = msgspec.msgpack.encode({"reason": reason})
    while len(payload) > lib.SA_REASON_MAX:  # what fits, of a long one
        reason = reason[: len(reason) * 7 // 8]
        payload = msgspec.msgpack.encode({"reason": reason + "…"})
    rc = station.core.revoke_submitted(task_id, payload)
    if rc == Status.FULL:
        raise StemError(
            f"{lib.SA_REVOKES_MAX:,} revoked tasks wait in submit rings already",
            hint="wait until the ring has free slots, or purge the queue",
        )
    return rc == Status.OK


def _stats(station: Station, _request: Request) -> Answer:
    core = station.core
    waiting, since = core.oldest_ready()
    age = station.clock.monotonic_ns() - since if since else 0
    return {
        **core.stats(),
        "slots": core.slots,
        "crossings": core.crossings,
        "epoch": core.epoch,
        "waiting": waiting,
        "oldestReadyNs": max(0, age),
        "deadLetters": station.dead_letters.count,
        "deadLettersDropped": station.dead_letters.dropped,
        "producers": len(station.producers.rows),
        "ringsSpoilt": station.producers.spoilt,
        "ringsRenewed": station.producers.renewed,
        "connectionPauses": station.pauses,
        "unreadable": station.unreadable.count,
        "canvases": len(station.canvases),
        "recovered": dict(station.recovered),
    }


def _workers(station: Station, _request: Request) -> Answer:
    rows = [
        {
            "index": member.index,
            "pid": member.pid,
            "phase": member.phase.value,
            "spare": member.is_spare,
            "stuckSinceNs": member.stuck_since_ns,
            "incarnation": member.incarnation,
            "bornNs": member.born_ns,
            "finished": int(station.core.worker_rows[member.index].finished),
        }
        for member in station.crew.members
    ]
    return {"workers": rows}


def _health(station: Station, _request: Request) -> Answer:
    """Red when work waits and nothing starts, or the crew cannot be kept up."""
    problems = problems_of(station)
    workers = len(station.crew.live())
    return {"ok": not problems, "problems": problems, "workers": workers}


def _queues(station: Station, _request: Request) -> Answer:
    core = station.core
    rows: dict[str, dict[str, object]] = {
        name: {"queue": name, "paused": paused, "ready": 0, "delayed": 0, "running": 0}
        for name, paused in core.queues()
    }
    columns = {State.READY: "ready", State.DELAYED: "delayed", State.LEASED: "running"}
    for (queue, state), count in core.census().items():
        if state in columns:
            rows[core.queue_name(queue)][columns[state]] = count
    return {"queues": list(rows.values())}


def _pause(station: Station, request: Request) -> Answer:
    name = queue_in(request).encode()
    paused = int(bool(request["paused"]))
    rc = lib.sa_core_pause(station.core.handle, name, len(name), paused)
    station.pump()
    return {"found": rc == Status.OK}


def _purge(station: Station, request: Request) -> Answer:
    """Cancel what waits in a queue; what cannot be cancelled now is told as left."""
    core = station.core
    queue = queue_in(request)
    name, number = queue.encode(), core.queue_number(queue)
    if number is None:
        return {"purged": 0, "found": False, "left": 0, "why": None}
    payload = msgspec.msgpack.encode({"reason": "purged"})
    count = ffi.new("uint32_t *")
    total, rc = 0, Status.FULL
    # Producers may submit as fast as tasks are cancelled: that is no reason to go on.
    for _ in range(_ROUNDS):
        rc = lib.sa_core_purge(
            core.handle, name, len(name), ffi.from_buffer(payload), len(payload), count
        )
        total += count[0]
        station.pump()
        if rc != Status.FULL or not count[0]:
            break
    left = sum(core.census()[number, state] for state in (State.READY, State.DELAYED))
    why = _STILL_LEFT if rc == Status.FULL else _JUST_COME
    return {
        "purged": total, "found": True, "left": left, "why": why if left else None
    }  # fmt: skip


def _quiet(station: Station, _request: Request) -> Answer:
    return {"held": station.crew.quiet(drain=False)}


def _dead_list(station: Station, request: Request) -> Answer:
    letters = station.dead_letters.list(
        queue=_queue_or_all(request),
        limit=number_in(request, "limit", default=_LETTERS_MAX, most=_LETTERS_MAX),
        before=None if request.get("before") is None else number_in(request, "before"),
        since_ns=number_in(request, "sinceNs", default=0),
    )
    rows = [
        {
            "id": letter.task_id,
            "seq": letter.seq,
            "name": letter.name,
            "queue": letter.queue,
            "attempt": letter.attempt,
            "starts": letter.starts,
            "crashes": letter.crashes,
            "diedNs": letter.died_ns,
            "error": letter.error[:2048] if request.get("brief") else letter.error,
        }
        for letter in letters
    ]
    return {"letters": rows, "dropped": station.dead_letters.dropped}


def _dead_get(station: Station, request: Request) -> Answer:
    letter = station.dead_letters.get(task_id_in(request))
    if letter is None:
        return {"letter": None}
    return {"letter": msgspec.to_builtins(letter, builtin_types=(bytes,))}


def _dead_remove(station: Station, request: Request) -> Answer:
    removed, records = station.dead_letters.remove(task_ids_in(request))
    station.spool.drop(records)
    return {"removed": removed}


def _dead_purge(station: Station, request: Request) -> Answer:
    purged, records = station.dead_letters.purge(queue=_queue_or_all(request))
    station.spool.drop(records)
    return {"purged": purged}


def _queue_or_all(request: Request) -> str | None:
    return None if request.get("queue") is None else queue_in(request)


VERBS: Final[dict[str, Callable[[Station, Request], Answer]]] = {
    "status": _status,
    "list": list_statuses,
    "revoke": _revoke,
    "stats": _stats,
    "workers": _workers,
    "health": _health,
    "queues": _queues,
    "pause": _pause,
    "purge": _purge,
    "quiet": _quiet,
    "dead.list": _dead_list,
    "dead.get": _dead_get,
    "dead.remove": _dead_remove,
    "dead.purge": _dead_purge,
}
