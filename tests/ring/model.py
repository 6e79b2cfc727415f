"""What the core must know of each task: a plain dictionary, without its shortcuts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

from .memory import Kind


class Life(StrEnum):
    """Where a task is, as seen from outside; an offer is still waiting."""

    WAITING = auto()
    DELAYED = auto()
    RUNNING = auto()
    REPORTED = auto()
    HELD = auto()
    PARKED = auto()
    FINISHED = auto()


@dataclass
class Fate:
    """One accepted task."""

    id: bytes
    ticket: int
    row: int
    queue: str
    expires_ns: int
    limits: tuple[str, ...] = ()
    lapses_ns: int = 0
    took_ns: int = 0
    life: Life = Life.WAITING
    starts: int = 0
    attempt: int = 0
    crashes: int = 0
    collaterals: int = 0
    worker: int = -1
    grant: Any = None
    outcome: tuple[Kind, int] | None = None
    ending: Kind | None = None
    wake_ns: int = 0
    replies: int = 0
    revoked: bool = False

    def start(self, worker: int, grant: Any) -> None:
        """A worker took it."""
        self.life, self.worker, self.grant = Life.RUNNING, worker, grant

    def commit(self, now_ns: int) -> None:
        """The core consumed the outcome that was reported."""
        assert self.outcome is not None
        kind, delay_ns = self.outcome
        self.outcome = None
        if self.revoked and kind is not Kind.SUCCEEDED:
            if kind is Kind.UNKNOWN:  # not a start
                self.finish(Kind.CANCELLED)
            else:
                self.lose(own=False)
            return
        if kind is Kind.UNKNOWN:
            self.life = Life.PARKED
            return
        self.starts += 1
        if kind is Kind.RETRY:
            self.attempt += 1
            self.life = Life.DELAYED if delay_ns else Life.WAITING
            self.wake_ns = now_ns + delay_ns
            return
        self.finish(kind)

    def lose(self, *, own: bool) -> None:
        """The start ended with its worker."""
        self.life = Life.HELD
        self.starts += 1
        if not self.revoked:
            self.crashes += own
            self.collaterals += not own

    def finish(self, kind: Kind) -> None:
        """The task has ended."""
        self.life, self.ending = Life.FINISHED, kind


@dataclass
class Book:
    """Every accepted task, by id."""

    fates: dict[bytes, Fate] = field(default_factory=dict)

    def at(self, *lives: Life) -> list[Fate]:
        """Return the tasks that are at one of *lives*, in order of acceptance."""
        return [fate for fate in self.fates.values() if fate.life in lives]

    def on(self, worker: int, *lives: Life) -> list[Fate]:
        """Return the tasks of one worker."""
        return [fate for fate in self.at(*lives) if fate.worker == worker]
