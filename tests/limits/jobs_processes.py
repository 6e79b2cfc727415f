"""Handlers that end their process, start others, or use up what there is."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import mmap
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from stem_actor import TaskContext

_PR_SET_PTRACER: Final = 0x59616D61
_ANY: Final = ctypes.c_ulong(-1)
_MIB: Final = 1 << 20
_kept: list[object] = []


def say(path: str, word: object) -> None:
    """Append *word* to the journal at *path*, in one write."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{word}\n".encode())
    finally:
        os.close(fd)


def add(a: int, b: int = 0) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def meet(path: str, at: int, count: int) -> int:
    """Return once *count* of these run at a time."""
    Path(path, f"met.{at}").touch()
    while not all(Path(path, f"met.{it}").exists() for it in range(count)):
        time.sleep(0.005)
    return os.getpid()


# --- endings of the process


def leave(status: int) -> None:
    os._exit(status)


def exit_by_exception(code: int | None) -> None:
    sys.exit(code)


def abort() -> None:
    os.abort()


def read_null() -> None:
    ctypes.string_at(0)


def read_cut_file() -> int:
    """Read a page of a file that has lost it: SIGBUS."""
    with tempfile.TemporaryFile() as file:
        file.truncate(2 * mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE) as page:
            file.truncate(0)
            return page[mmap.PAGESIZE]


def signal_self(number: int) -> None:
    os.kill(os.getpid(), number)
    while True:
        signal.pause()


def overflow_stack(library: str) -> None:
    """Recur in C until there is no stack."""
    ctypes.CDLL(library).recur(0)


def wait_for_kill(path: str) -> None:
    say(path, os.getpid())
    while True:
        signal.pause()


def leave_thread(path: str) -> int:
    """Return, but leave a non-daemon thread that never ends."""
    say(path, os.getpid())
    threading.Thread(target=_sleep_for_ever, name="left-over").start()
    return os.getpid()


def hang(path: str) -> None:
    """Say who we are, and stay; whoever wants to may trace us."""
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
    wait_for_kill(path)


def hang_once(context: TaskContext, path: str) -> int:
    """``hang`` if nobody has before."""
    if not Path(path).exists():
        hang(path)
    say(path, os.getpid())
    return context.attempt


# --- children


def start_plain(path: str) -> None:
    """A child in the group of the worker."""
    _child(lambda: wait_for_kill(path))
    _sleep_for_ever()


def start_session(path: str) -> None:
    """A child in a session of its own."""
    _child(lambda: _escape(path))
    _sleep_for_ever()


def start_daemon(path: str) -> None:
    """A grandchild whose parent is gone, in a session of its own."""

    def between() -> None:
        os.setsid()
        _child(lambda: wait_for_kill(path))

    os.waitpid(_child(between), 0)
    _sleep_for_ever()


def start_pool(path: str) -> None:
    """A pool of processes, all of them busy."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(wait_for_kill, [path] * 2, chunksize=1)
    _sleep_for_ever()


def start_program(path: str) -> None:
    """A program in a session of its own that holds every descriptor of the worker."""
    program = f"echo $$ >> {path}; while :; do sleep 60; done"
    subprocess.Popen(["sh", "-c", program], close_fds=False, start_new_session=True)
    _sleep_for_ever()


def leave_child(path: str) -> int:
    """Return, but leave a child that holds every descriptor of the worker."""
    _child(lambda: _escape(path))
    return os.getpid()


def write_in_child(context: TaskContext) -> list[str]:
    """Tell what a child of ours finds of the ring: by name, and by mapping."""
    inlet, outlet = os.pipe()
    child = _child(lambda: os.write(outlet, _uses_of_ring(context).encode()))
    os.close(outlet)
    os.waitpid(child, 0)
    with os.fdopen(inlet) as file:
        return file.read().split()


def run_forks(path: str, count: int) -> None:
    """*count* runners, each of which forks itself on, in a new session every time."""
    for _ in range(count):
        _child(lambda: _run(path))
    say(path, "running")
    _sleep_for_ever()


# --- what a kill may find locked


def hold_logging_lock(path: str) -> None:
    """Be killed within the lock of ``logging`` and of a handler."""

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(path, record.getMessage())
            _sleep_for_ever()

    logging.getLogger("shop").addHandler(Slow())
    logging.getLogger("shop").warning("locked")
    raise AssertionError


def log() -> int:
    logging.getLogger("shop").warning("free")
    return os.getpid()


def hold_process_lock(path: str) -> None:
    """Be killed while this very task has a ``multiprocessing.Lock``."""
    with multiprocessing.get_context("fork").Lock():
        wait_for_kill(path)


def retry_after_kill(context: TaskContext, path: str) -> int:
    """Run into the hard limit twice, then return the attempt."""
    say(path, f"{context.attempt} {os.getpid()}")
    if context.attempt < 2:
        _sleep_for_ever()
    return context.attempt


def sleep(context: TaskContext, path: str, seconds: float) -> int:
    say(path, f"start {context.id} {os.getpid()} {time.monotonic_ns()}")
    time.sleep(seconds)
    return os.getpid()


def spin() -> None:
    while True:
        pass


def ignore(path: str) -> None:
    """Swallow every request to stop; beside a child that escaped."""
    _child(lambda: _escape(path))
    say(path, os.getpid())
    while True:
        with contextlib.suppress(BaseException):
            _sleep_for_ever()


# --- memory and processor time


def take(size: int) -> None:
    """Take *size* bytes at once, that are really there, and stay."""
    _kept.append(b"x" * size)
    _sleep_for_ever()


def grow(step: int) -> None:
    """Take *step* bytes every 10 ms, for ever."""
    while True:
        _kept.append(b"x" * step)
        time.sleep(0.01)


def take_in_child(path: str, size: int) -> None:
    """Have a child take them."""
    _child(lambda: _tell_and_take(path, size))
    _sleep_for_ever()


def share(size: int, count: int) -> int:
    """Take *size* bytes, share them with *count* children for a while, and return."""
    shared = b"x" * size
    gate, go = os.pipe()
    children = [_child(lambda: os.read(gate, 1)) for _ in range(count)]
    time.sleep(0.4)  # some twenty looks of whoever measures
    os.write(go, b"." * count)
    for child in children:
        os.waitpid(child, 0)
    os.close(gate)
    os.close(go)
    return len(shared)


def burn_in_child(path: str) -> None:
    """Have a child use the processor; nobody waits for it."""
    _child(lambda: _tell_and_spin(path))
    _sleep_for_ever()


def keep(size: int) -> int:
    """Keep *size* bytes that are really there, and return."""
    _kept.append(b"x" * size)
    return os.getpid()


def burn(library: str, threads: int) -> float:
    """Use the processor in threads of C that know nothing of Python."""
    ctypes.CDLL(library).burn(threads)
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


# --- inside


def _child(life: Callable[[], object]) -> int:
    """Run *life* in a child that never comes back to the handler."""
    child = os.fork()
    if child:
        return child
    try:
        life()
    finally:
        os._exit(0)


def _escape(path: str) -> None:
    os.setsid()
    wait_for_kill(path)


def _tell_and_take(path: str, size: int) -> None:
    say(path, os.getpid())
    take(size)


def _tell_and_spin(path: str) -> None:
    say(path, os.getpid())
    spin()


def _run(path: str) -> None:
    """Fork on and on; the parent of each ends at once, so no pid lives for long."""
    os.setsid()
    while not Path(path).with_suffix(".stop").exists():
        if os.fork():
            os._exit(0)
        os.setsid()


def _uses_of_ring(context: TaskContext) -> str:
    maps = Path("/proc/self/maps").read_text()
    found = ["mapped" if "core.seg" in maps or ".ring" in maps else "unmapped"]
    for use in (
        lambda: context.progress(1),
        lambda: context.heartbeat(),
        lambda: context.enqueue("add", {"a": 1}),
    ):
        try:
            use()
            found.append("worked")
        except Exception:
            found.append("refused")
    return " ".join(found)


def _sleep_for_ever() -> None:
    while True:
        time.sleep(60)


ONCE: Final = {"max_crashes": 1}
HARD: Final = {"hard_time_limit": 0.5}

HANDLERS: Final = (
    (add, {"name": "add"}),
    (pid, {"name": "pid"}),
    (meet, {"name": "meet", "hard_time_limit": 20}),
    (leave, {"name": "leave", **ONCE}),
    (exit_by_exception, {"name": "exit_by_exception", **ONCE}),
    (abort, {"name": "abort", **ONCE}),
    (read_null, {"name": "read_null", **ONCE}),
    (read_cut_file, {"name": "read_cut_file", **ONCE}),
    (signal_self, {"name": "signal_self", **ONCE}),
    (overflow_stack, {"name": "overflow_stack", **ONCE}),
    (wait_for_kill, {"name": "wait_for_kill", **ONCE}),
    (leave_thread, {"name": "leave_thread"}),
    (hang, {"name": "hang", **HARD}),
    (hang_once, {"name": "hang_once"}),
    (start_plain, {"name": "start_plain", **HARD}),
    (start_session, {"name": "start_session", **HARD}),
    (start_daemon, {"name": "start_daemon", **HARD}),
    (start_pool, {"name": "start_pool", "hard_time_limit": 1.0}),
    (leave_child, {"name": "leave_child"}),
    (start_program, {"name": "start_program", **HARD}),
    (write_in_child, {"name": "write_in_child", **HARD}),
    (run_forks, {"name": "run_forks", **HARD}),
    (hold_logging_lock, {"name": "hold_logging_lock", **HARD}),
    (log, {"name": "log"}),
    (hold_process_lock, {"name": "hold_process_lock", **HARD}),
    (
        retry_after_kill,
        {"name": "retry_after_kill", "hard_time_limit": 0.3, "max_retries": 2},
    ),
    (sleep, {"name": "sleep"}),
    (sleep, {"name": "sleep_limited", "hard_time_limit": 1.0}),
    (spin, {"name": "spin", "hard_time_limit": 0.02}),
    (ignore, {"name": "ignore"}),
    (take, {"name": "take", "memory_limit": 300 * _MIB}),
    (take, {"name": "take_unlimited", **ONCE}),
    (grow, {"name": "grow", "memory_limit": 300 * _MIB}),
    (take_in_child, {"name": "take_in_child", "memory_limit": 300 * _MIB}),
    (share, {"name": "share", "memory_limit": 300 * _MIB}),
    (burn_in_child, {"name": "burn_in_child", "cpu_limit": 0.3}),
    (keep, {"name": "keep"}),
    (burn, {"name": "burn", "cpu_limit": 0.5}),
)
