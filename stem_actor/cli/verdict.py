"""How a command shows the verdict on a start."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from stem_actor.cli.output import Output
from stem_actor.model.verdict import Verdict

__all__ = ["show_stacks", "show_verdict", "wire_of"]

_MIB = 1 << 20
_WIDTH = 12


def wire_of(verdict: Verdict | None) -> dict[str, object] | None:
    """Return what stands under ``verdict`` in JSON; stacks are part of it."""
    return None if verdict is None else verdict.to_wire()


def show_verdict(verdict: Verdict, output: Output) -> None:
    """Write the *verdict* as a block of its own; what is not known is left out."""
    output.line("verdict")
    for name, text in _facts(verdict):
        output.line(f"  {name:<{_WIDTH}}  {text}")


def show_stacks(verdict: Verdict | None, stack: str | None, output: Output) -> None:
    """Write where the start was at its soft limit, then at its end, *stack*."""
    if verdict is not None:
        _show("at its soft limit", verdict.soft_stack, output)
        stack = stack or verdict.stack
    _show("at its end", stack, output)


def _show(title: str, stack: str | None, output: Output) -> None:
    if stack:
        output.line(title)
        for line in stack.splitlines():
            output.line(f"  {line}")


def _facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield "reason", verdict.reason
    if verdict.soft_exceeded:
        yield "soft limit", "had passed"
    if verdict.signal is not None:
        yield "signal", _signal_name(verdict.signal)
    if verdict.exit_status is not None:
        yield "exit status", str(verdict.exit_status)
    if verdict.oom:
        yield "memory", "the kernel had none left"
    if verdict.wall_s is not None:
        yield "took", f"{verdict.wall_s:,.3f} s"
    if verdict.late_s is not None:
        yield "late by", f"{verdict.late_s * 1e3:,.1f} ms"
    if verdict.cpu_s is not None:
        yield "processor", f"{verdict.cpu_s:,.3f} s"
    if verdict.peak_rss is not None:
        yield "peak memory", f"{verdict.peak_rss / _MIB:,.1f} MiB"
    if verdict.minor_faults is not None or verdict.major_faults is not None:
        minor, major = verdict.minor_faults or 0, verdict.major_faults or 0
        yield "page faults", f"{minor:,}, and {major:,} from disk"
    yield from _left_over(verdict)
    if verdict.pid is not None:
        yield "process", f"{verdict.pid}, worker {verdict.worker}"


def _left_over(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.descendants:
        yield "ended too", ", ".join(verdict.descendants)
    if verdict.swept:
        yield "swept up", f"{verdict.swept:,} processes that it had left behind"
    if verdict.threads:
        yield "threads left", ", ".join(verdict.threads)


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:  # a real-time signal has no name
        return str(number)
