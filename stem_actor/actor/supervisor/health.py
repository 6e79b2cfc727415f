"""Health: what is wrong with a running ring, in words for who is called at night."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stem_actor.actor.supervisor.station import Station
from stem_actor.actor.tree.processes import state_of
from stem_actor.ids import format_id
from stem_actor.ring.core import State

__all__ = ["problems_of"]

#: No start for so long while tasks wait means that something is stuck.
_STUCK_NS: Final = 5 * 10**9
#: A verdict takes a tenth of a second, while a killed tree is swept up.
_VERDICT_NS: Final = 10**9
_STOPPED: Final = frozenset({"T", "t", "Z"})


def problems_of(station: Station) -> list[str]:
    """Return one line for each problem; none: the ring is healthy."""
    return [
        *_of_work(station),
        *_of_workers(station),
        *station.producers.problems(),
        *_of_supervisor(station),
    ]


def _of_work(station: Station) -> Iterator[str]:
    """Work that waits, in queues and mailboxes, while nothing starts."""
    core = station.core
    now = station.clock.monotonic_ns()
    waiting, since = core.backlog()
    last = max(int(core.stats_row.last_start_ns), since)
    if waiting and now - last > _STUCK_NS:
        seconds = (now - last) / 1e9
        tasks = "1 task waits" if waiting == 1 else f"{waiting} tasks wait"
        yield f"{tasks}, nothing has started for {seconds:.0f} s"
    held = [core.slot(number) for number in core.numbers_in(State.HELD)]
    unkillable = station.crew.unkillable
    for slot in held:
        age = now - slot.due_ns
        if age > _VERDICT_NS and unkillable.holder_of(slot) is None:
            yield (
                f"task {format_id(slot.task_id)} has lost its start, and waits for a "
                f"verdict for {age / 1e9:.0f} s"
            )
            break


def _of_workers(station: Station) -> Iterator[str]:
    crew = station.crew
    if crew.paused_until_ns > station.clock.monotonic_ns():
        yield f"workers die before they take a task: {crew.last_error}"
    stopped = [str(m.pid) for m in crew.live() if state_of(m.pid) in _STOPPED]
    if stopped:
        yield f"stopped worker processes: {', '.join(stopped)}"
    yield from crew.unkillable.problems()
    if not crew.live():
        yield "there is no worker"


def _of_supervisor(station: Station) -> Iterator[str]:
    if station.letters.problem is not None:
        yield station.letters.problem
    if station.canvases.problem is not None:
        yield station.canvases.problem
    if station.is_deaf:
        yield (
            "the supervisor has no file descriptor left, and new connections wait: "
            "raise RLIMIT_NOFILE, or close connections"
        )
    bad = station.recovered.get("bad", 0)
    if bad:
        yield (
            f"tasks lost when this supervisor started: {bad}; their slots held what "
            "the ring does not allow"
        )
