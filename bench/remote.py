"""
A side in a process of its own, told what to measure over a pipe.

``python -m bench.remote SIDE`` opens the side, then answers each line of JSON on its
standard input with one on its standard output, until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from bench import processes
from bench.harness import Latency, rate, timed
from bench.sides import SIDES, Side
from bench.workload import sum_of_lives

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 120.0
CLOSING_S = 15.0


class SideFailed(Exception):
    """Raised when a side cannot be opened, breaks, or takes too long."""


class RemoteSide:
    """
    A side in another process; a context manager.

    Args:
        name: A key of `bench.sides.SIDES`.
    """

    #: What ``python -m`` runs, with the name as its argument.
    module = "bench.remote"

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        """
        Return the side, open.

        Raises:
            SideFailed: With the reason the side gave.
        """
        try:
            self._answer()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and what it started, by force if it does not end itself."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        pidfd = os.pidfd_open(self._process.pid)
        ended, _, _ = select.select([pidfd], [], [], CLOSING_S)
        os.close(pidfd)
        if not ended:
            self._process.kill()
        # Whatever it left. Before the leader is reaped, its pid names no other group.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def lives(self, count: int) -> float:
        """Return whole lives a second over *count* of them."""
        return float(self._ask({"verb": "lives", "count": count})["rate"])

    def costs(self, count: int) -> dict[str, float]:
        """
        Return role → microseconds of CPU per life; ``rate``: lives a second;
        ``moved``: records per call into C, of a side that counts them.
        """
        answer = self._ask({"verb": "lives", "count": count})
        counted = {"rate": answer["rate"], "moved": answer["moved"]}
        return {**counted, **answer["cpu_us"]}

    def trips(self, count: int, *, pause_s: float = 0) -> Latency:
        """Return the times of *count* round trips, each waited for."""
        request = {"verb": "trips", "count": count, "pause_s": pause_s}
        return Latency(self._ask(request)["us"])

    def awaited(self, count: int) -> Latency:
        """Return the times of *count* round trips by `await`."""
        return Latency(self._ask({"verb": "awaited", "count": count})["us"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideFailed(f"{self.name} has died") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        # One answer per request, so nothing is ever buffered behind the line.
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        line = self._process.stdout.readline() if ready else b"{}"
        if not line:
            raise SideFailed(f"{self.name} has died")
        answer: dict[str, Any] = json.loads(line) or {"error": "took too long"}
        if "error" in answer:
            raise SideFailed(f"{self.name}: {answer['error']}")
        return answer


def opened(
    names: Sequence[str], stack: ExitStack
) -> tuple[dict[str, RemoteSide], dict[str, str]]:
    """
    Open sides, and leave out those that cannot be.

    Returns:
        The open ones, closed by *stack*; and name → reason of the others.
    """
    sides, reasons = {}, {}
    for name in names:
        try:
            sides[name] = stack.enter_context(RemoteSide(name))
        except SideFailed as error:
            reasons[name] = str(error)
    return sides, reasons


def _serve(side: Side, request: dict[str, Any]) -> dict[str, Any]:
    count = int(request["count"])
    match request["verb"]:
        case "lives":
            return _lives(side, count)
        case "trips":
            run = timed(side.round_trip, count, pause_s=request["pause_s"])
            return {"us": run.samples}
        case "awaited":
            return {"us": asyncio.run(_awaited(side, count))}
        case verb:
            raise ValueError(f"no side knows how to {verb!r}")


def _lives(side: Side, count: int) -> dict[str, Any]:
    roles = side.roles()
    before, moved = processes.cpu_by_role(roles), _moved(side)
    sums = []
    lives_s = rate(lambda count: sums.append(side.lives(count)), count)
    if roles != side.roles():
        raise RuntimeError("a process was replaced during the run")
    after = processes.cpu_by_role(roles)
    assert sums == [sum_of_lives(count)], "a result is missing or wrong"
    cpu_us = {role: (after[role] - before[role]) / count / 1000 for role in roles}
    records, crossings = (b - a for a, b in zip(moved, _moved(side), strict=True))
    return {"rate": lives_s, "cpu_us": cpu_us, "moved": records / max(1, crossings)}


def _moved(side: Any) -> tuple[int, int]:
    """Records and crossings, of a side that counts them."""
    return side.moved() if hasattr(side, "moved") else (0, 0)


async def _awaited(side: Any, count: int) -> list[float]:
    samples = []
    for number in range(count):
        began = time.perf_counter_ns()
        assert await side.awaited(number) == number + 1
        samples.append((time.perf_counter_ns() - began) / 1000)
    return samples


def main() -> None:
    """Open the side named on the command line and serve it."""
    # Answers go to a descriptor of their own: a stray print must not become one.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(document: dict[str, Any]) -> None:
        print(json.dumps(document), file=answers, flush=True)

    try:
        with SIDES[sys.argv[1]]() as side:
            answer({"ready": True})
            for line in sys.stdin:
                answer(_serve(side, json.loads(line)))
    except BrokenPipeError:
        return
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
