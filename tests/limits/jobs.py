"""Plain handlers that run into a limit, each in a way of its own."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from stem_actor import TaskContext
from stem_actor.actor.tree.signals import SOFT_SIGNAL

_FOREVER_S: Final = 60.0
#: Room for any pthread_mutex_t; zeros are PTHREAD_MUTEX_INITIALIZER.
_MUTEX_BYTES: Final = 128


def say(path: str, word: str) -> None:
    """Append *word* to the journal at *path*, in one write."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{word}\n".encode())
    finally:
        os.close(fd)


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """Say when the block begins and when it is cleaned up."""
    say(path, "begin")
    try:
        yield
    finally:
        say(path, "clean-up")


def pid() -> int:
    return os.getpid()


def sleep(path: str) -> None:
    with told(path):
        time.sleep(_FOREVER_S)


def spin(path: str) -> None:
    with told(path):
        while True:
            pass


def count_in_c(path: str) -> None:
    with told(path):
        sum(range(10**10))


def count_among_threads(path: str, threads: int) -> None:
    for _ in range(threads):
        threading.Thread(target=time.sleep, args=(_FOREVER_S,), daemon=True).start()
    with told(path):
        sum(range(10**10))


def lock_twice(path: str, holds_gil: bool) -> None:
    """Lock a mutex that this thread has locked: a deadlock for ever."""
    library = ctypes.PyDLL(None) if holds_gil else ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(_MUTEX_BYTES)
    with told(path):
        library.pthread_mutex_lock(mutex)
        library.pthread_mutex_lock(mutex)


def sleep_in_c(path: str, holds_gil: bool) -> None:
    library = ctypes.PyDLL(None) if holds_gil else ctypes.CDLL(None)
    with told(path):
        library.sleep(60)


def match_slowly(path: str) -> None:
    with told(path):
        re.match(r"(a+)+$", "a" * 60 + "b")


def receive(path: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, told(path):
        ours.recv(1)


def lock_file(path: str) -> None:
    target = f"{path}.lock"
    with open(target, "w") as first, open(target, "w") as second, told(path):
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(second, fcntl.LOCK_EX)


def suppress_all(path: str) -> None:
    say(path, "begin")
    while True:
        try:
            time.sleep(_FOREVER_S)
        except:  # noqa: E722 - this is the handler that must not win
            say(path, "swallowed")


def suppress_base(path: str) -> None:
    say(path, "begin")
    while True:
        try:
            while True:
                pass
        except BaseException as error:
            say(path, type(error).__name__)


class Slow:
    """An object whose end takes long, for the first one of a process."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __del__(self) -> None:
        say(self.path, "del")
        time.sleep(_FOREVER_S)


def drop(path: str) -> None:
    """Be in ``__del__`` at the limit, where Python drops every exception."""
    with told(path):
        Slow(path)
        while True:
            pass


def close_descriptors(path: str) -> None:
    """Close every descriptor, those of the worker too."""
    with told(path):
        os.closerange(3, 4096)
        time.sleep(_FOREVER_S)


def recurse(path: str) -> None:
    """Be so deep at the limit that no function can be called any more."""

    def recurse_on() -> None:
        try:
            recurse_on()
        except RecursionError:
            while True:
                pass

    with told(path):
        recurse_on()


def fill_stack(path: str, room: int) -> None:
    """Leave room for *room* more frames, and stay there."""

    def measure() -> int:
        try:
            return 1 + measure()
        except RecursionError:
            return 0

    def fill_stack_on(left: int) -> None:
        while not left:
            pass
        fill_stack_on(left - 1)

    with told(path):
        fill_stack_on(measure() - 1 - room)


def clean_up_slowly(path: str) -> None:
    say(path, "begin")
    try:
        time.sleep(_FOREVER_S)
    finally:
        say(path, "cleaning")
        time.sleep(_FOREVER_S)
        say(path, "cleaned")


def numbers(path: str) -> Iterator[int]:
    try:
        yield 1
        time.sleep(_FOREVER_S)
        yield 2
    finally:
        say(path, "generator")


def nest(path: str) -> list[int]:
    with told(path), contextlib.ExitStack() as stack:
        stack.callback(say, path, "callback")
        return list(numbers(path))


def take_signals(path: str) -> None:
    """Take every signal a program may take, and have one come all the time."""
    for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    with told(path):
        time.sleep(_FOREVER_S)


def block_signals(path: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with told(path):
        time.sleep(_FOREVER_S)


def stop_itself(path: str) -> None:
    with told(path):
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(_FOREVER_S)


def join_helper(path: str) -> None:
    helper = threading.Thread(target=time.sleep, args=(_FOREVER_S,), name="helper")
    helper.start()
    with told(path):
        helper.join()


_KEPT: list[object] = []


def leave_child(fails: bool = False) -> list[int]:
    """Begin a process and end without it; returns the worker's and its own number."""
    child = subprocess.Popen(["sleep", "1000"])
    _KEPT.append(child)
    if fails:
        raise ValueError("with a child")
    return [os.getpid(), child.pid]


def leave_pool() -> list[int]:
    """Begin what modules keep for later: pools, of threads and of processes."""
    threads = ThreadPoolExecutor(1, "kept")
    threads.submit(pid).result()
    fork = multiprocessing.get_context("fork")
    processes = ProcessPoolExecutor(1, mp_context=fork)
    helper = fork.Process(target=time.sleep, args=(1000,), daemon=True)
    helper.start()
    _KEPT.extend([threads, processes, helper])
    return [os.getpid(), processes.submit(pid).result()]


def reap_child() -> int:
    """Begin a process and see it end."""
    subprocess.run(["true"], check=True)
    return os.getpid()


def leave_thread(name: str) -> int:
    threading.Thread(target=time.sleep, args=(_FOREVER_S,), name=name).start()
    return os.getpid()


def import_slowly(folder: str) -> int:
    """Import a module that takes for ever, as long as it was never imported."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import slow_to_import  # type: ignore[import-not-found]

    return int(slow_to_import.VALUE)


def spoil(how: str) -> int:
    """Leave signals or hooks as a limit cannot do with them; the worker lives on."""
    match how:
        case "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        case "ignored":
            signal.signal(SOFT_SIGNAL, signal.SIG_IGN)
        case "deadly":
            signal.signal(SOFT_SIGNAL, signal.SIG_DFL)
        case "put back":  # which installs the handler of Python, and not of the worker
            found = signal.signal(SOFT_SIGNAL, signal.SIG_IGN)
            signal.signal(SOFT_SIGNAL, found)
        case "hooked":
            sys.unraisablehook = lambda _: None
        case "hooked around":
            found_hook = sys.unraisablehook
            sys.unraisablehook = lambda it: found_hook(it)
    return os.getpid()


def outlast(path: str) -> int:
    """Block the soft limit's signal, and return when it is pending for sure."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {SOFT_SIGNAL})
    while SOFT_SIGNAL not in signal.sigpending():
        time.sleep(0.005)
    say(path, "pending")
    return os.getpid()


def let_through(path: str) -> int:
    """Take a signal that was sent for the start before this one."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {SOFT_SIGNAL})
    assert SOFT_SIGNAL not in signal.sigpending()
    say(path, "unblocked")
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        pass
    return os.getpid()


def finish_in_time(context: TaskContext, path: str) -> str:
    """Meet the soft limit, save what there is, and return a part."""
    try:
        time.sleep(_FOREVER_S)
    except BaseException as error:
        say(path, f"{type(error).__name__} {context.interruption}")
    return "a part"


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


_SOFT: Final = {"soft_time_limit": 0.3, "hard_time_limit": 20}
_BOTH: Final = {"soft_time_limit": 0.3, "hard_time_limit": 0.9}

HANDLERS = (
    (pid, {"name": "pid"}),
    *(
        (handler, {"name": handler.__name__, **_SOFT})
        for handler in (
            sleep,
            spin,
            sleep_in_c,
            match_slowly,
            receive,
            lock_file,
            drop,
            close_descriptors,
            recurse,
            fill_stack,
            nest,
            take_signals,
            join_helper,
            import_slowly,
            outlast,
            finish_in_time,
        )
    ),
    *(
        (handler, {"name": handler.__name__, **_BOTH})
        for handler in (
            count_in_c,
            count_among_threads,
            lock_twice,
            suppress_all,
            suppress_base,
            clean_up_slowly,
            block_signals,
            stop_itself,
        )
    ),
    (leave_thread, {"name": "leave_thread"}),
    (leave_child, {"name": "leave_child"}),
    (leave_pool, {"name": "leave_pool"}),
    (reap_child, {"name": "reap_child"}),
    (spoil, {"name": "spoil"}),
    (spoil, {"name": "spoil_limited", "soft_time_limit": 60}),
    (let_through, {"name": "let_through"}),
    (wait_for, {"name": "wait_for"}),
)
