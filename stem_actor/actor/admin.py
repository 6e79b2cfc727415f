"""What may be asked of a supervisor, and how it answers. Verb by verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from stem_actor.actor.processes import state_of
from stem_actor.actor.station import Station
from stem_actor.actor.statuses import list_statuses, status_of
from stem_actor.ring.core import Fault, State
from stem_actor.ring.mailbox import Stop
from stem_actor.ring.native import Status, ffi, lib

__all__ = ["VERBS", "status_of", "watch"]

#: No start for so long while tasks wait means that something is stuck.
_STUCK_NS: Final = 5 * 10**9
#: What a revoked start is given to clean up, before its worker is killed.
_GRACE_S: Final = 1.0
_STOPPED: Final = frozenset({"T", "t", "Z"})

Request = dict[str, Any]
Answer = dict[str, object]


def watch(station: Station, number: int) -> None:
    """Have the core say when slot *number* finishes."""
    lib.sa_core_watch(station.core.handle, number)


def _status(station: Station, request: Request) -> Answer:
    return {"status": status_of(station, bytes(request["id"]))}


def _revoke(station: Station, request: Request) -> Answer:
    """Cancel what has not started; with ``terminate`` also end what runs."""
    core = station.core
    slot = core.find(bytes(request["id"]))
    reason = str(request.get("reason") or "revoked")
    payload = msgspec.msgpack.encode({"reason": reason})
    if slot is None or slot.state == State.FINISHED:
        return {"revoked": False}
    rc = lib.sa_core_revoke(
        core.handle, slot.number, slot.gen, ffi.from_buffer(payload), len(payload)
    )
    if rc == Status.OK:
        station.pump()
        return {"revoked": True}
    if not request.get("terminate"):
        return {"revoked": False}
    start = station.limits.start_of(core.slot(slot.number))
    if start is None:
        return {"revoked": False}
    station.limits.interrupt(
        start, Stop.REVOKED, grace_s=_GRACE_S, fault=Fault.REVOKED, reason=reason
    )
    return {"revoked": True}


def _stats(station: Station, _request: Request) -> Answer:
    core = station.core
    waiting, since = core.oldest_ready()
    age = station.clock.monotonic_ns() - since if since else 0
    return {
        **core.stats(),
        "slots": core.slots,
        "epoch": core.epoch,
        "waiting": waiting,
        "oldestReadyNs": max(0, age),
        "deadLetters": station.dead_letters.count,
        "deadLettersDropped": station.dead_letters.dropped,
        "producers": len(station.producers.rows),
        "connectionPauses": station.pauses,
        "recovered": dict(station.recovered),
    }


def _workers(station: Station, _request: Request) -> Answer:
    rows = [
        {
            "index": member.index,
            "pid": member.pid,
            "phase": member.phase.value,
            "spare": member.is_spare,
            "incarnation": member.incarnation,
            "bornNs": member.born_ns,
            "finished": int(station.core.worker_rows[member.index].finished),
        }
        for member in station.crew.members
    ]
    return {"workers": rows}


def _health(station: Station, _request: Request) -> Answer:
    """Red when work waits and nothing starts, or the crew cannot be kept up."""
    core, crew = station.core, station.crew
    now = station.clock.monotonic_ns()
    problems = []
    waiting, since = core.oldest_ready()
    last = max(int(core.stats_row.last_start_ns), since)
    if waiting and now - last > _STUCK_NS:
        seconds = (now - last) / 1e9
        problems.append(
            f"{waiting} tasks wait, nothing has started for {seconds:.0f} s"
        )
    if crew.paused_until_ns > now:
        problems.append(f"workers die before they take a task: {crew.last_error}")
    stopped = [str(m.pid) for m in crew.live() if state_of(m.pid) in _STOPPED]
    if stopped:
        problems.append(f"stopped worker processes: {', '.join(stopped)}")
    if not crew.live():
        problems.append("there is no worker")
    if station.letters.problem is not None:
        problems.append(station.letters.problem)
    if station.is_deaf:
        problems.append(
            "the supervisor has no file descriptor left, and new connections wait: "
            "raise RLIMIT_NOFILE, or close connections"
        )
    return {"ok": not problems, "problems": problems, "workers": len(crew.live())}


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
    name = str(request["queue"]).encode()
    paused = int(bool(request["paused"]))
    rc = lib.sa_core_pause(station.core.handle, name, len(name), paused)
    station.pump()
    return {"found": rc == Status.OK}


def _purge(station: Station, request: Request) -> Answer:
    found = str(request["queue"]) in {name for name, _ in station.core.queues()}
    name = str(request["queue"]).encode()
    payload = msgspec.msgpack.encode({"reason": "purged"})
    count = ffi.new("uint32_t *")
    total, rc = 0, Status.FULL
    while rc == Status.FULL:
        rc = lib.sa_core_purge(
            station.core.handle, name, len(name), ffi.from_buffer(payload),
            len(payload), count,
        )  # fmt: skip
        total += count[0]
        station.pump()
    return {"purged": total, "found": found}


def _quiet(station: Station, _request: Request) -> Answer:
    return {"held": station.crew.quiet(drain=False)}


def _dead_list(station: Station, request: Request) -> Answer:
    letters = station.dead_letters.list(
        queue=request.get("queue"),
        limit=int(request.get("limit", 100)),
        before=request.get("before"),
        since_ns=int(request.get("sinceNs", 0)),
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
    letter = station.dead_letters.get(bytes(request["id"]))
    if letter is None:
        return {"letter": None}
    return {"letter": msgspec.to_builtins(letter, builtin_types=(bytes,))}


def _dead_remove(station: Station, request: Request) -> Answer:
    ids = [bytes(it) for it in request["ids"]]
    removed = station.dead_letters.remove(ids)
    station.drop_spooled(ids)
    return {"removed": removed}


def _dead_purge(station: Station, request: Request) -> Answer:
    gone = station.dead_letters.purge(queue=request.get("queue"))
    station.drop_spooled(gone)
    return {"purged": len(gone)}


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
