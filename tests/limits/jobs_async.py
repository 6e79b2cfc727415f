"""Coroutine handlers, and plain ones with a loop of their own, at a limit."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import uvloop

from stem_actor import SoftTimeLimitExceeded, TaskContext
from tests.limits.jobs import pid, say, told

_FOREVER_S: Final = 60.0


async def asleep(context: TaskContext, path: str) -> None:
    say(path, "begin")
    try:
        await asyncio.sleep(_FOREVER_S)
    except asyncio.CancelledError:
        say(path, f"cancelled {context.interruption}")
        raise
    finally:
        say(path, "clean-up")


async def block(path: str) -> None:
    """Block the loop in a system call."""
    say(path, "begin")
    try:
        time.sleep(_FOREVER_S)
    except SoftTimeLimitExceeded:
        say(path, "raised")
        raise
    finally:
        say(path, "clean-up")


async def spin(path: str) -> None:
    """Block the loop in Python, in a function below the coroutine."""
    with told(path):
        await asyncio.sleep(0)
        _spin()


def _spin() -> None:
    while True:
        pass


async def spin_in_child(path: str) -> None:
    """Block the loop in a task that this one has made and waits for."""
    with told(path):
        await asyncio.create_task(_spin_soon())


async def _spin_soon() -> None:
    await asyncio.sleep(0)
    _spin()


async def spin_in_bare_child(path: str) -> None:
    """As before; the task knows nothing of whose it is."""
    with told(path):
        await asyncio.create_task(_spin_soon(), context=contextvars.Context())


async def spin_in_group(path: str) -> None:
    with told(path):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_spin_soon())


_shared: list[tuple[asyncio.Queue[asyncio.Future[None]], asyncio.Task[None]]] = []


async def _serve(path: str, asked: asyncio.Queue[asyncio.Future[None]]) -> None:
    """Work for whoever asks, long for each, as the reader of a connection might."""
    try:
        while True:
            answer = await asked.get()
            deadline = time.monotonic() + 0.05
            while time.monotonic() < deadline:
                pass
            answer.set_result(None)
    except SoftTimeLimitExceeded:
        say(path, "struck")
        raise


async def _ask(path: str) -> None:
    if not _shared:
        queue: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        _shared.append((queue, asyncio.create_task(_serve(path, queue))))
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await _shared[0][0].put(answer)
    await answer


async def share(path: str) -> None:
    """Begin what others use, in this start's own context; then wait."""
    await _ask(path)
    with told(path):
        await asyncio.sleep(_FOREVER_S)


async def use_shared(path: str, seconds: float) -> int:
    """Use it all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await _ask(path)
    return os.getpid()


async def _exit() -> None:
    sys.exit(5)


async def break_loop(how: str) -> int:
    """Do to the loop what would end it, and stay a little."""
    loop = asyncio.get_running_loop()
    match how:
        case "exit in a task":
            kept = asyncio.create_task(_exit())
            await asyncio.wait([kept])
        case "exit in a callback":
            loop.call_soon(sys.exit, 3)
        case "stop":
            loop.stop()
        case "cancel all":
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
    await asyncio.sleep(0.2)
    return os.getpid()


async def cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(_FOREVER_S)


async def swallow(path: str) -> None:
    say(path, "begin")
    while True:
        try:
            await asyncio.sleep(_FOREVER_S)
        except asyncio.CancelledError:
            say(path, "swallowed")


async def _kept(path: str) -> None:
    try:
        await asyncio.sleep(_FOREVER_S)
    finally:
        say(path, "inner")


async def shield(path: str) -> None:
    """Wait for what asyncio itself is told not to cancel."""
    with told(path):
        await asyncio.shield(asyncio.create_task(_kept(path)))


async def group(path: str) -> None:
    with told(path):
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(_kept(path))


async def time_out_later(path: str) -> None:
    """Run under two time-outs that are longer than the limit."""
    with told(path):
        try:
            async with asyncio.timeout(_FOREVER_S), asyncio.timeout(_FOREVER_S / 2):
                await asyncio.sleep(_FOREVER_S)
        except TimeoutError:
            say(path, "timed out")
            raise


async def time_out_first(path: str) -> str:
    """Run under a time-out that is shorter than the limit."""
    with told(path):
        try:
            async with asyncio.timeout(_FOREVER_S), asyncio.timeout(0.05):
                await asyncio.sleep(_FOREVER_S)
        except TimeoutError:
            return "timed out"
    return "slept"


async def _numbers(path: str) -> AsyncIterator[int]:
    try:
        yield 1
        await asyncio.sleep(_FOREVER_S)
        yield 2
    finally:
        say(path, "generator")


async def generate(path: str) -> list[int]:
    with told(path):
        return [number async for number in _numbers(path)]


async def leave_generator(path: str) -> None:
    """Be somewhere else when the limit strikes; the generator is suspended."""
    numbers = _numbers(path)
    with told(path):
        await anext(numbers)
        await asyncio.sleep(_FOREVER_S)


async def loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__


async def neighbour(path: str) -> int:
    """Return once *path* is there, having never been disturbed."""
    while not Path(path).exists():
        await asyncio.sleep(0.005)
    return os.getpid()


async def busy_neighbour(seconds: float) -> int:
    """Hold the loop for longer than the limit of whoever else is on it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass
    return os.getpid()


async def finish_in_time(context: TaskContext) -> str:
    try:
        await asyncio.sleep(_FOREVER_S)
    except asyncio.CancelledError:
        return f"a part, {context.interruption}"
    return "all"


async def _main(path: str) -> None:
    with told(path):
        others = [asyncio.create_task(_kept(path)) for _ in range(2)]
        await asyncio.gather(*others)


async def _spinning_main(path: str) -> None:
    other = asyncio.create_task(_kept(path))
    with told(path):
        await asyncio.sleep(0)
        _spin()
        await other


def run_asyncio(path: str) -> None:
    asyncio.run(_main(path))


def run_uvloop(path: str) -> None:
    uvloop.run(_main(path))


def run_busy_loop(path: str) -> None:
    asyncio.run(_spinning_main(path))


_SOFT: Final = {"soft_time_limit": 0.3, "hard_time_limit": 20}

HANDLERS = (
    (pid, {"name": "pid"}),
    *(
        (handler, {"name": handler.__name__, **_SOFT})
        for handler in (
            asleep,
            block,
            spin,
            spin_in_child,
            spin_in_bare_child,
            spin_in_group,
            share,
            shield,
            group,
            time_out_later,
            time_out_first,
            generate,
            leave_generator,
            finish_in_time,
            run_asyncio,
            run_uvloop,
            run_busy_loop,
        )
    ),
    (swallow, {"name": "swallow", "soft_time_limit": 0.3, "hard_time_limit": 0.9}),
    (loop_name, {"name": "loop_name"}),
    (neighbour, {"name": "neighbour"}),
    (use_shared, {"name": "use_shared", "hard_time_limit": 20}),
    (break_loop, {"name": "break_loop"}),
    (cancel_itself, {"name": "cancel_itself"}),
    (busy_neighbour, {"name": "busy_neighbour"}),
)
