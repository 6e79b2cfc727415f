"""Handlers for the tests; at module level, so that every start method finds them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stem_actor import StemApp, TaskContext, TaskRetryPolicy


def add_jobs(app: StemApp) -> None:
    """Register every handler of this module with *app*."""
    for handler, options in HANDLERS:
        app.task(**options)(handler)  # type: ignore[call-overload]


def add(a: int, b: int = 0) -> int:
    return a + b


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def fail(message: str) -> None:
    raise ValueError(message)


def fail_once(path: str, value: str) -> int:
    """Fail unless *path* exists; then tell how much was sent."""
    if not Path(path).exists():
        raise ValueError("not yet")
    return len(value)


def journal(context: TaskContext, path: str, seconds: float = 0.0) -> int:
    """Write one line for this start, then stay for a while."""
    line = f"{context.id} {context.attempt} {os.getpid()} {time.monotonic_ns()}\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)
    time.sleep(seconds)
    return context.attempt


def fail_until(context: TaskContext, attempts: int) -> int:
    if context.attempt < attempts:
        raise ConnectionError(f"attempt {context.attempt}")
    return context.attempt


def die(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


def leave(status: int) -> None:
    os._exit(status)


def spin() -> None:
    while True:
        pass


def nap(seconds: float) -> str:
    time.sleep(seconds)
    return "rested"


def wait_for_none(path: str) -> None:
    while Path(path).exists():
        time.sleep(0.005)


def size_of(value: dict[str, object]) -> int:
    return len(value)


def many(count: int) -> list[int]:
    return [0] * count


def report_garbage(context: TaskContext, kind: str) -> None:
    """Say in the worker's name what no decoder can read, then nothing any more."""
    runtime: Any = context.runtime
    number = {"failed": 2, "stopped": 12}[kind]
    runtime._mailbox.report(runtime._grant, number, b"\xc1garbage")


def stubborn() -> None:
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(10)


def grandchild(path: str) -> None:
    """Start a child that escapes by setsid, say its pid, then never end."""
    child = os.fork()
    if child == 0:
        os.setsid()
        Path(path).write_text(str(os.getpid()))
        while True:
            signal.pause()
    while True:
        signal.pause()


def progress(context: TaskContext, path: str) -> None:
    context.progress(50, {"step": "half"})
    wait_for(path)


def wait_for(path: str) -> None:
    """Return when *path* exists; the other side of an event for other processes."""
    while not Path(path).exists():
        time.sleep(0.005)


def ask_retry(context: TaskContext) -> int:
    if context.attempt == 0:
        context.retry(countdown=0.01)
    return context.attempt


def extend(context: TaskContext, by: float) -> None:
    context.heartbeat()
    context.extend_lease(by)
    time.sleep(by)


def ask_for_more(context: TaskContext) -> int:
    """Ask once for two more tries and a policy; then fail until they are used up."""
    if context.attempt == 0:
        context.retry(max_retries=3, retry_policy=TaskRetryPolicy(default_delay=0.01))
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt}")
    return context.attempt


def child(context: TaskContext, path: str) -> str:
    return context.enqueue(journal_name(), {"path": path}).id


def journal_name() -> str:
    return "journal"


def use_ring_in_child() -> list[int]:
    """Grandchildren that touch the runtime: 0 for each that got a clear error."""
    context = TaskContext.current()
    if context is None:
        return [1]
    uses = (
        lambda: context.progress(1),
        lambda: context.heartbeat(),
        lambda: context.queue,
        lambda: context.enqueue("add", {"a": 1}),
    )
    return [_status_of_child(use) for use in uses]


def leave_in_child() -> int:
    """A grandchild leaves the handler by sys.exit; the worker must not notice."""
    child = os.fork()
    if child == 0:
        sys.exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _status_of_child(use: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            use()
        except Exception as error:
            os._exit(0 if "child" in str(error) or "fork" in str(error) else 2)
        os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def anap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "rested"


async def ablock() -> None:
    while True:
        await asyncio.sleep(10)


async def alength(value: str) -> int:
    return len(value)


async def adie(seconds: float) -> None:
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


NO_RETRY = TaskRetryPolicy(dont_auto_retry_for=(ConnectionError,))

HANDLERS = (
    (add, {"name": "add"}),
    (echo, {"name": "echo"}),
    (pid, {"name": "pid"}),
    (fail, {"name": "fail"}),
    (fail_once, {"name": "fail_once"}),
    (journal, {"name": "journal"}),
    (journal, {"name": "journal_once", "acks_late": False}),
    (fail_until, {"name": "fail_until", "max_retries": 3}),
    (fail_until, {"name": "no_retry", "max_retries": 3, "retry_policy": NO_RETRY}),
    (die, {"name": "die"}),
    (leave, {"name": "leave"}),
    (spin, {"name": "spin", "hard_time_limit": 0.2}),
    (nap, {"name": "nap"}),
    (report_garbage, {"name": "report_garbage"}),
    (wait_for_none, {"name": "wait_for_none"}),
    (size_of, {"name": "size_of"}),
    (many, {"name": "many"}),
    (nap, {"name": "nap_soft", "soft_time_limit": 0.1, "hard_time_limit": 5}),
    (stubborn, {"name": "stubborn", "soft_time_limit": 0.05, "hard_time_limit": 0.3}),
    (grandchild, {"name": "grandchild", "hard_time_limit": 0.5}),
    (progress, {"name": "progress"}),
    (wait_for, {"name": "wait_for"}),
    (ask_retry, {"name": "ask_retry", "max_retries": 1}),
    (extend, {"name": "extend", "hard_time_limit": 0.3}),
    (ask_for_more, {"name": "ask_for_more", "max_retries": 1}),
    (child, {"name": "child"}),
    (use_ring_in_child, {"name": "use_ring_in_child"}),
    (leave_in_child, {"name": "leave_in_child"}),
)
ASYNC_HANDLERS = (
    (anap, {"name": "anap"}),
    (adie, {"name": "adie"}),
    (alength, {"name": "alength"}),
    (ablock, {"name": "ablock", "soft_time_limit": 0.1, "hard_time_limit": 5}),
)
