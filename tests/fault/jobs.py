"""The tasks that faults meet; at module level, so that any start method finds them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from stem_actor import StemApp, TaskContext, TaskEnqueueOptions
from stem_actor.ids import format_id, new_id
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy
from tests.fault.journal import Journal, append_line

__all__ = [
    "ACCEPTED",
    "MEANT",
    "Plan",
    "children_ledger",
    "expected_value",
    "make_app",
    "make_plan",
    "plan_of",
]

#: The words of a ledger: a task that is about to be enqueued, and one that was.
MEANT: Final = "meant"
ACCEPTED: Final = "accepted"

#: More than travels inside the ring, so that arguments and results are spooled.
SPOOLED_BYTES: Final = 70_000
_POISON_SIGNALS: Final = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)
#: Plain handlers, and the coroutines that do the same.
_COROUTINES: Final = {"work": "awork", "poison": "apoison"}


def work(
    context: TaskContext,
    journal: str,
    number: int,
    retries: int = 0,
    seconds: float = 0.0,
    blob: str = "",
    grow: int = 0,
    children: int = 0,
    seed: int = 0,
) -> list[Any]:
    """Fail *retries* times, then return what identifies this very task."""
    book = Journal(journal)
    book.start(context.id, context.attempt)
    spawn(context, journal, children, seed)
    if seconds:
        time.sleep(seconds)
    book.end(context.id, context.attempt)
    if context.attempt < retries:
        raise ConnectionError(f"attempt {context.attempt}")
    return [number, context.attempt, zlib.crc32(blob.encode()), "x" * grow]


async def awork(
    context: TaskContext,
    journal: str,
    number: int,
    retries: int = 0,
    seconds: float = 0.0,
    blob: str = "",
    grow: int = 0,
    children: int = 0,
    seed: int = 0,
) -> list[Any]:
    """As ``work``, with other coroutines beside it while it rests."""
    book = Journal(journal)
    book.start(context.id, context.attempt)
    spawn(context, journal, children, seed)
    await asyncio.sleep(seconds)
    book.end(context.id, context.attempt)
    if context.attempt < retries:
        raise ConnectionError(f"attempt {context.attempt}")
    return [number, context.attempt, zlib.crc32(blob.encode()), "x" * grow]


def spawn(context: TaskContext, journal: str, count: int, seed: int) -> None:
    """
    Enqueue *count* children, each with a line in the ledger before and after.

    Every start has children of its own: a start that is lost leaves those that it
    had enqueued.
    """
    ledger = children_ledger(journal)
    for number in range(count):
        plan = plan_of(seed, number)
        task_id = format_id(new_id())
        append_line(ledger, f"{MEANT} {task_id} {seed} {number}")
        context.enqueue(
            plan.name,
            {"journal": journal, **plan.args},
            enqueue_options=TaskEnqueueOptions(task_id=task_id),
        )
        append_line(ledger, f"{ACCEPTED} {task_id} {seed} {number}")


def children_ledger(journal: str | Path) -> Path:
    """Return where handlers write down the children that they enqueue."""
    return Path(f"{journal}.children")


def hopeless(context: TaskContext, journal: str, number: int) -> None:
    """Fail in every attempt."""
    book = Journal(journal)
    book.start(context.id, context.attempt)
    book.end(context.id, context.attempt)
    raise ValueError(f"task {number} cannot succeed")


def poison(context: TaskContext, journal: str, number: int) -> None:
    """Kill the worker in every start."""
    Journal(journal).start(context.id, context.attempt)
    os.kill(os.getpid(), _POISON_SIGNALS[number % len(_POISON_SIGNALS)])


async def apoison(context: TaskContext, journal: str, number: int) -> None:
    """Kill the worker, and whatever else runs in it, in every start."""
    Journal(journal).start(context.id, context.attempt)
    os.kill(os.getpid(), _POISON_SIGNALS[number % len(_POISON_SIGNALS)])


async def tpoison(context: TaskContext, journal: str, number: int) -> None:
    """As ``apoison``, in a thread: no coroutine runs at that moment."""
    Journal(journal).start(context.id, context.attempt)
    await asyncio.to_thread(os.kill, os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    One task of a run, and how it has to end.

    Attributes:
        name: Of the task.
        args: Without the journal.
        state: ``succeeded`` or ``failed``.
        attempt: 0-based number of the try that settles it.
        is_poison: Whether it ends by its third crash.
    """

    name: str
    args: dict[str, Any]
    state: str
    attempt: int
    is_poison: bool = False


def make_plan(number: int, rng: Random, *, concurrent: bool = False) -> Plan:
    """
    Return the plan of task *number*: mostly short work, some of every trouble.

    Args:
        number: Goes into the task's arguments.
        rng: The same state gives the same plan.
        concurrent: Whether most of them are coroutines.
    """
    plan = _plain(number, rng)
    if rng.random() < 0.04 and plan.name == "work":
        args = {**plan.args, "children": 2, "seed": rng.getrandbits(31)}
        plan = replace(plan, args=args)
    if concurrent and plan.name in _COROUTINES and rng.random() < 0.8:
        plan = replace(plan, name=_COROUTINES[plan.name])
    return plan


def plan_of(seed: int, number: int) -> Plan:
    """Return the plan of one task without children, the same in every process."""
    return _plain(number, Random(seed << 32 | number))


def _plain(number: int, rng: Random) -> Plan:
    die = rng.random()
    if die < 0.01:
        return Plan("poison", {"number": number}, "failed", 0, is_poison=True)
    if die < 0.04:
        return Plan("hopeless", {"number": number}, "failed", 2)
    args: dict[str, Any] = {"number": number}
    retries = rng.choice((1, 2)) if die < 0.14 else 0
    if retries:
        args["retries"] = retries
    if rng.random() < 0.03:
        args["blob"] = "b" * SPOOLED_BYTES
    if rng.random() < 0.03:
        args["grow"] = SPOOLED_BYTES
    args["seconds"] = rng.choice((0.0, 0.0, 0.001, 0.005))
    return Plan("work", args, "succeeded", retries)


def expected_value(plan: Plan) -> list[Any]:
    """Return what a *plan* that succeeds has to return."""
    args = plan.args
    crc = zlib.crc32(str(args.get("blob", "")).encode())
    return [args["number"], plan.attempt, crc, "x" * int(args.get("grow", 0))]


def make_app(broker: str, runtime_dir: Path, **settings: Any) -> StemApp:
    """
    Return an app with these tasks; retries wait milliseconds.

    Its workers run coroutines if ``concurrency`` is more than 1.
    """
    merged: dict[str, Any] = {
        "workers": 2,
        "slots": 4096,
        "arena_bytes": 8 << 20,
        "retry_strategy": ExponentialJitterRetryStrategy(base=0.001, max=0.01),
        **settings,
    }
    app = StemApp(broker=broker, runtime_dir=runtime_dir, **merged)
    # A kill that hits a task by chance is a crash too: it must not use up the three.
    app.task(name="work", max_retries=2, max_crashes=1000)(work)
    app.task(name="hopeless", max_retries=2, max_crashes=1000)(hopeless)
    app.task(name="poison")(poison)
    if merged.get("concurrency", 1) > 1:
        app.task(name="awork", max_retries=2, max_crashes=1000)(awork)
        app.task(name="apoison")(apoison)
        app.task(name="tpoison")(tpoison)
    return app
