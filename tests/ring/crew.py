"""Workers that do at once what they are offered, and note when they began it."""

from __future__ import annotations

from dataclasses import dataclass, field

from stem_actor._core import lib

from .harness import MS, SECOND, Arena
from .memory import Kind
from .peers import Accepted, Producer, Task, task_id


@dataclass
class Crew:
    """Workers that do at once what they are offered, and note when they began it."""

    arena: Arena
    began: list[tuple[int, bytes]] = field(default_factory=list)

    def work(self) -> int:
        """Take and finish whatever is offered; return how many tasks that were."""
        done = 0
        for worker in self.arena.workers.values():
            while (grant := worker.take()) is not None:
                self.began.append((self.arena.now_ns, task_id(grant)))
                assert worker.report(grant, Kind.SUCCEEDED) == lib.SA_OK
                done += 1
        return done

    def run(self, until_ns: int, every_ns: int = 10 * MS) -> None:
        """Let time pass up to *until_ns*, in small steps."""
        while self.arena.now_ns < until_ns:
            while self.work() or self.arena.step():
                pass
            self.arena.step(every_ns)

    @property
    def times(self) -> list[int]:
        """When the starts were, in seconds from the beginning."""
        return [at // SECOND - 1 for at, _ in self.began]


def crew_of(arena: Arena, workers: int = 2) -> Crew:
    """Start some workers."""
    for worker in range(workers):
        arena.start_worker(worker)
    return Crew(arena)


def most_in(times: list[int], span_ns: int) -> int:
    """Return the most starts in any window of *span_ns*."""
    return max(
        (sum(at <= other < at + span_ns for other in times) for at in times), default=0
    )


def submit(producer: Producer, count: int = 1, **fields: object) -> list[Accepted]:
    """Submit *count* tasks that are alike."""
    return producer.submit(Task(**fields), [b""] * count)  # type: ignore[arg-type]
