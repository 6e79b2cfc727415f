"""
One system under one case after another, told over a pipe (see `bench.remote`).

``python -m bench.limits_driver SIDE`` opens the side, then answers each line of JSON,
``{"case": …}``, with what became of that case.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial

import psutil

from bench.limits_sides import SIDES, US, LimitedSide, Ticket
from bench.limits_watch import Watch, look
from stem_actor.actor.tree.prctl import adopt_orphans

OPENING_S = 25.0
STARTING_S = 10.0
#: After its last limit a side has this long; then it is said what is still alive.
WINDOW_S = 5.0
#: A caller who has heard nothing this long after the limit enqueues the next task.
IMPATIENCE_S = 0.5
SPAN_S = 12.0
SCANS = 5
CLEARING_S = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """
    What became of one case. Times are milliseconds.

    Attributes:
        by: ``raised`` (an exception ended the handler), ``killed`` (its process was),
            ``itself`` (it came to its own end), ``nobody`` within the window, or
            ``not started``.
        limit: The limit that this belongs to: ``soft``, ``hard``, or ``only`` for a
            side that has one; the last one if nobody ended it.
        late_ms: How long after that limit; None: nobody ended it.
        swallowed: Name of the exception that the handler got and swallowed.
        raised: Name of the exception that left the handler.
        told: The error that the caller saw; "" for a success, None for nothing.
        told_ms: When, after the same limit.
        left: Processes that it had begun and that live at the end of the window; at
            least as many.
        lives: Whether the task itself still runs then.
        gone_ms: When nothing of it was left, after the same limit; None: something is.
        next_ms: How long the next task, enqueued when the caller had its answer,
            waited for its start; None: it has not started within the window.
    """

    by: str
    limit: str
    late_ms: float | None = None
    swallowed: str = ""
    raised: str = ""
    told: str | None = None
    told_ms: float | None = None
    left: int = 0
    lives: bool = False
    gone_ms: float | None = None
    next_ms: float | None = None

    @property
    def is_clean(self) -> bool:
        """Whether the side can go on with the next case."""
        is_known = self.told is not None and self.next_ms is not None
        return is_known and not self.left and not self.lives


class Answer:
    """What the caller of a task hears, by a thread that waits for it."""

    def __init__(self, ticket: Ticket, timeout_s: float) -> None:
        self.told: str | None = None
        self.at_ns: int | None = None
        thread = threading.Thread(
            target=self._wait, args=(ticket, timeout_s), daemon=True
        )
        thread.start()

    def _wait(self, ticket: Ticket, timeout_s: float) -> None:
        told = ticket(timeout_s)
        if told is not None:
            self.told, self.at_ns = told, time.monotonic_ns()


def suffer(side: LimitedSide, case: str) -> Row:
    """Run a case until everything is over, or the window is."""
    with Watch() as task, Watch() as following:
        ticket = side.endure(case, task.path, SPAN_S)
        if not look([task], lambda: task.began_ns is not None, STARTING_S):
            return Row("not started", _name_of(side, side.last_s))
        assert task.began_ns is not None
        limit_ns = task.began_ns + int(side.last_s * 1e9)
        answer = Answer(ticket, side.last_s + WINDOW_S)
        both = [task, following]

        def left_s(after_s: float) -> float:
            return (limit_ns - time.monotonic_ns()) / 1e9 + after_s

        look(both, lambda: answer.at_ns is not None, left_s(IMPATIENCE_S))
        asked_ns = time.monotonic_ns()
        side.touch(following.path)

        def is_over() -> bool:
            ended = (task.ended_ns, task.gone_ns, answer.at_ns, following.gone_ns)
            return None not in ended

        look(both, is_over, left_s(WINDOW_S))
        return _row(side, task, following, answer, asked_ns)


def _row(
    side: LimitedSide, task: Watch, following: Watch, answer: Answer, asked_ns: int
) -> Row:
    began_ns = task.began_ns or 0
    left = _left(task)
    by, at_ns = _end_of(task)
    has_passed = at_ns is not None and (at_ns - began_ns) / 1e9 >= side.last_s
    is_soft = by == "raised" and not has_passed
    limit_s = side.soft_s if is_soft and side.soft_s else side.last_s

    def after_limit(at_ns: int | None) -> float | None:
        return None if at_ns is None else (at_ns - began_ns) / 1e6 - limit_s * 1e3

    next_ns = following.began_ns
    return Row(
        by,
        _name_of(side, limit_s),
        after_limit(at_ns),
        task.swallowed,
        task.raised,
        answer.told,
        after_limit(answer.at_ns),
        left,
        by == "nobody",
        after_limit(task.gone_ns),
        None if next_ns is None else (next_ns - asked_ns) / 1e6,
    )


def _end_of(task: Watch) -> tuple[str, int | None]:
    if task.raised_ns is not None:
        return "raised", task.raised_ns
    if task.returned_ns is not None:
        return "itself", task.returned_ns
    return ("nobody" if task.dead_ns is None else "killed"), task.dead_ns


def _name_of(side: LimitedSide, limit_s: float) -> str:
    if side.soft_s is None or side.hard_s is None:
        return "only"
    return "soft" if limit_s == side.soft_s else "hard"


def _left(task: Watch) -> int:
    """Return how many processes of the task, besides its own, are alive."""
    look([task], lambda: task.gone_ns is not None, 0.001)
    if task.gone_ns is not None:
        return 0
    seen = [{*task.holders()} for _ in range(SCANS)]
    most = max(len(pids - {task.pid}) for pids in seen)
    # Fork-runners outrun a scan; if the task is none of its holders, somebody is.
    return most or int(not any(task.pid in pids for pids in seen))


def _open(name: str) -> LimitedSide:
    """
    Open a side and run a first task.

    Raises:
        RuntimeError: If that does not start.
    """
    side = SIDES[name]()
    with Watch() as first:
        side.touch(first.path)
        # Until it has let go: whoever has the diary open is killed at the end.
        if not look([first], lambda: first.gone_ns is not None, OPENING_S):
            said = side.process.last_line if side.process else "no reason is known"
            raise RuntimeError(f"it starts no task within {OPENING_S:.0f} s: {said}")
    return side


def _end_all() -> None:
    """Kill every descendant; orphans are among them, this process adopts them."""
    deadline = time.monotonic() + CLEARING_S
    while time.monotonic() < deadline:
        below = psutil.Process().children(recursive=True)
        for process in below:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not below:
            return
        time.sleep(0.01)  # kills take a moment; some fork on meanwhile


def main(name: str) -> None:
    """Open the side and serve it; at the end nothing of it is left."""
    # Answers go to a descriptor of their own: a stray print must not become one.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(work: Callable[[], dict[str, object]]) -> None:
        try:
            document = work()
        except Exception as error:
            document = {"error": f"{type(error).__name__}: {error}"}
        with suppress(BrokenPipeError):
            print(json.dumps(document), file=answers, flush=True)

    sides: list[LimitedSide] = []

    def opened() -> dict[str, object]:
        sides.append(_open(name))
        return {"ready": True}

    if name != US:  # its guardian adopts, and must not be a child of its host
        adopt_orphans()
    answer(opened)
    for line in sys.stdin if sides else ():
        answer(partial(_told, sides, json.loads(line)["case"]))
    for side in sides:
        side.close()
    _end_all()
    os._exit(0)  # threads of a side may wait for what is dead


def _told(sides: list[LimitedSide], case: str) -> dict[str, object]:
    return asdict(suffer(sides[0], case))


if __name__ == "__main__":
    main(sys.argv[1])
