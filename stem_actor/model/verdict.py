"""Verdict: how one start ended, what it used, and where it was stuck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

__all__ = ["VERDICT", "Reason", "Verdict"]

VERDICT: Final = "verdict"
"""Key of the wire form in the meta of an error, and beside a result."""

Reason = Literal[
    "returned",
    "raised",
    "soft",
    "hard",
    "memory",
    "cpu",
    "crashed",
    "revoked",
    "lost",
    "collateral",
]
"""
How a start ended.

``returned``, ``raised``: the handler did. ``soft``: it let the interruption of its
soft limit escape. ``hard``, ``memory``, ``cpu``: its worker was killed for a limit.
``crashed``: its worker died by itself. ``revoked``: it was forbidden to go on.
``collateral``: its worker was ended for another reason. ``lost``: its worker is gone,
and nobody is left who knows why.
"""

_REASONS: Final = frozenset(get_args(Reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    The record of one ended start; what is not known is None.

    Attributes:
        reason: How it ended.
        soft_exceeded: Whether its soft limit had passed, however it ended.
        signal: Number of the signal that ended the worker.
        exit_status: Exit status of the worker, or of a handler that called
            ``sys.exit``.
        oom: Whether the kernel killed the worker for want of memory.
        wall_s: Seconds from its start to its end. A result that took less than
            10 ms is kept without what follows, down to the page faults.
        cpu_s: Processor seconds of the process, its threads and the children it
            waited for, exact to 10 ms; None for a coroutine, which shares them.
        peak_rss: Bytes: the most the process has had resident since it began.
        minor_faults: Page faults without input or output.
        major_faults: Page faults with it.
        late_s: For a limit: how long after it the process was dead.
        soft_stack: All threads when the soft limit struck; at most 8 KiB.
        stack: All threads at the end, if the worker was killed or crashed; where the
            exception was raised, if it raised.
        descendants: Processes it had begun and that were ended with it, or with its
            worker if it has left them running, as ``"name (pid)"``; at most 32.
        swept: How many processes it left behind for the guardian, which killed those
            that lived and reaped those that did not.
        threads: Names of the threads that it left running, at most 16; unless all
            were daemons or an executor's its worker was replaced, and they have ended.
        worker: Index of the worker.
        pid: Its process.
    """

    reason: Reason
    soft_exceeded: bool = False
    signal: int | None = None
    exit_status: int | None = None
    oom: bool = False
    wall_s: float | None = None
    cpu_s: float | None = None
    peak_rss: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    late_s: float | None = None
    soft_stack: str | None = None
    stack: str | None = None
    descendants: tuple[str, ...] = ()
    swept: int = 0
    threads: tuple[str, ...] = ()
    worker: int | None = None
    pid: int | None = None

    def to_wire(self) -> dict[str, object]:
        """Return the plain map that ``from_wire`` reads; defaults are left out."""
        wire: dict[str, object] = {"reason": self.reason}
        for name, key in _KEYS.items():
            value = getattr(self, name)
            if value != getattr(_BLANK, name):
                wire[key] = list(value) if isinstance(value, tuple) else value
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any], *, stack: str | None = None) -> Verdict:
        """
        Return the verdict that *wire* describes.

        Args:
            wire: The plain map; keys that are not known are passed over.
            stack: The stack of the error that it stands in, which has it already.

        Raises:
            ValueError: If the reason is none.
        """
        reason = wire.get("reason")
        if reason not in _REASONS:
            raise ValueError(f"a verdict has one of the known reasons, not {reason!r}")
        facts: dict[str, Any] = {
            name: wire[key] for name, key in _KEYS.items() if key in wire
        }
        for name in ("descendants", "threads"):
            facts[name] = tuple(str(it) for it in facts.get(name, ()))
        facts.setdefault("stack", stack)
        return cls(reason=cast("Reason", reason), **facts)


_KEYS: Final = {
    "soft_exceeded": "softExceeded",
    "signal": "signal",
    "exit_status": "exitStatus",
    "oom": "oom",
    "wall_s": "wallS",
    "cpu_s": "cpuS",
    "peak_rss": "peakRss",
    "minor_faults": "minorFaults",
    "major_faults": "majorFaults",
    "late_s": "lateS",
    "soft_stack": "softStack",
    "stack": "stack",
    "descendants": "descendants",
    "swept": "swept",
    "threads": "threads",
    "worker": "worker",
    "pid": "pid",
}

_BLANK: Final = Verdict(reason="returned")
