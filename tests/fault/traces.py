"""A run's traces: what every store says of it, and what was done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.fault.jobs import Plan
from tests.fault.journal import Line

__all__ = ["Counters", "Evidence", "Kill", "Process", "Record", "Toll"]

#: Pid and start time in ticks: together they name a process for good.
Process = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Record:
    """
    What one store says of one task.

    Attributes:
        state: ``succeeded``, ``failed``, ``cancelled``, or ``live``.
    """

    state: str
    attempt: int
    starts: int


@dataclass(frozen=True, slots=True)
class Toll:
    """What lost starts the slot of one task tells of."""

    crashes: int = 0
    collaterals: int = 0


@dataclass(frozen=True, slots=True)
class Kill:
    """
    One SIGKILL that hit.

    Attributes:
        kind: Whom: ``worker``, ``supervisor``, ``zygote`` or ``guardian``.
        victim: The process.
        at_ns: Monotonic, just before the signal.
        workers: The workers that die of it: itself, or those below it.
        supervisor: Pid of the supervisor that dies of it and had begun its epoch, or 0.
    """

    kind: str
    victim: Process
    at_ns: int
    workers: tuple[Process, ...] = ()
    supervisor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """
    What the ring says of itself at the end.

    Attributes:
        epoch: Supervisors that began, ever.
        births: Worker processes that were asked for, ever.
        members: Workers and spares there are.
        corrupt: Rings that were quarantined.
        letters: Dead letters, and those that had to be dropped.
        problems: What health complains of.
    """

    epoch: int
    births: int
    members: int
    starts: int
    crashes: int
    collaterals: int
    corrupt: int
    letters: int
    letters_dropped: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    A run's traces.

    Attributes:
        accepted: Every task whose ``enqueue`` returned, and what must become of it.
        perhaps: Tasks whose producer died before it could say whether they were.
        told: What handles were told; a task need not have a handle.
        kept: What the slot table holds; one entry a slot.
        letters: What the dead letters hold; one entry a letter.
        lines: The journal.
        losses: How many starts can have ended before their first line: at most one
            for each worker that was killed, for each coroutine that it could run.
        kills: Every one that hit; None if nobody kept a list.
        tolls: Lost starts by task, from the slots.
        counters: None if the ring was not asked.
        concurrency: Coroutines that one worker runs at a time.
        ordered: What one producer enqueued for one worker, in the order of its calls.
        recovery_max_ns: From a kill to the next start of what it hit.
        memory: Bytes that belong to each supervisor alone, by pid, in time's order.
        growth_max: Bytes by which these may grow in one supervisor's life.
    """

    accepted: Mapping[str, Plan]
    perhaps: Mapping[str, Plan] = field(default_factory=dict)
    told: Mapping[str, Record]
    kept: Sequence[tuple[str, Record]]
    letters: Sequence[tuple[str, Record]]
    lines: Sequence[Line]
    losses: int
    kills: Sequence[Kill] | None = None
    tolls: Mapping[str, Toll] = field(default_factory=dict)
    counters: Counters | None = None
    concurrency: int = 1
    ordered: Sequence[str] = ()
    recovery_max_ns: int = 10**10
    memory: Mapping[int, Sequence[int]] = field(default_factory=dict)
    growth_max: int = 8 << 20
