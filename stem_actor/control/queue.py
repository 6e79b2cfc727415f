"""QueueControl: one queue of a ring, to be watched, paused and purged."""

from __future__ import annotations

from dataclasses import dataclass

from stem_actor.tasks.ports import Connection

__all__ = ["QueueControl", "QueueInfo"]


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """
    A queue at one instant.

    Attributes:
        ready: Tasks that wait for a worker.
        delayed: Tasks whose time has not come.
        running: Tasks that workers hold.
        is_paused: Whether it gives out no tasks.
    """

    ready: int = 0
    delayed: int = 0
    running: int = 0
    is_paused: bool = False


class QueueControl:
    """One queue of a running ring."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name

    def info(self) -> QueueInfo:
        """Return how the queue is now; all zero for one that was never used."""
        for row in self._connection.request("queues")["queues"]:
            if row["queue"] == self.name:
                return QueueInfo(
                    row["ready"], row["delayed"], row["running"], row["paused"]
                )
        return QueueInfo()

    def pause(self) -> bool:
        """Give out no more of its tasks; False: it was never used."""
        return self._set(paused=True)

    def resume(self) -> bool:
        """Give out its tasks again; False: it was never used."""
        return self._set(paused=False)

    def purge(self) -> int:
        """
        Cancel the tasks that wait in it; returns how many.

        What is submitted meanwhile may stay.
        """
        return int(self._connection.request("purge", queue=self.name)["purged"])

    def _set(self, *, paused: bool) -> bool:
        answer = self._connection.request("pause", queue=self.name, paused=paused)
        return bool(answer["found"])
