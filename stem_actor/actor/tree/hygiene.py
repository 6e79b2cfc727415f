"""
What a process does around a fork, in the order that cost something to find out.

A child is a copy of the host in the middle of whatever it did: its buffers, its
signal handlers, its event loop, its exit handlers. Each step here takes one of them
away before it can do harm in the child, or to the host through the kernel.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import io
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from typing import NoReturn

from stem_actor.actor.tree import descriptors, prctl

EXIT_FAILURE = 70

# Python ignores these in every process it starts; the rest of it relies on that.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
# Ctrl-C and the terminal speak to the host, which decides for the whole tree.
_IGNORED_BY_US = (signal.SIGINT, signal.SIGTTIN, signal.SIGTTOU)

# The old streams stay referenced: collecting one could close descriptor 1 or 2.
_inherited: list[object] = []


@contextmanager
def quiet_fork() -> Iterator[None]:
    """
    Fork inside this: nothing is buffered, collected or interrupted meanwhile.

    Signals are blocked, because one that came between the fork and the child's first
    steps would run the host's handlers in the child, or write to the pipe that wakes
    the host's loop. The child never leaves the block; ``fresh_signals`` unblocks it.
    """
    flush_streams()
    collecting = gc.isenabled()
    gc.disable()
    old_mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        if collecting:
            gc.enable()


def fork_into(life: Callable[[], NoReturn]) -> int:
    """
    Fork; the child runs *life* and never comes back to the caller's frames.

    Returns:
        The child's pid, in the parent.

    Raises:
        OSError: If there is no room for another process.
    """
    with warnings.catch_warnings():
        # 3.12+ warns of a host with threads; ``start_method`` has judged that.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid != 0:
        return pid
    try:
        life()
    except BaseException as error:
        complain(f"{type(error).__name__}: {error}")
    finally:
        os._exit(EXIT_FAILURE)


def reap(child: int) -> None:
    """
    Wait for *child*.

    A host that ignores SIGCHLD, or has another thread in ``os.wait``, may have lost
    it to them already: that is as good.
    """
    with suppress(ChildProcessError):
        os.waitpid(child, 0)


def complain(text: str) -> None:
    """Write one line to stderr, past every stream object of the host."""
    line = " ".join(text.splitlines())
    with suppress(OSError):
        os.write(2, f"stem_actor: {line}\n".encode(errors="backslashreplace"))


def flush_streams() -> None:
    """Flush ``sys.stdout``, ``sys.stderr`` and the streams of C."""
    for stream in (sys.stdout, sys.stderr):
        # None, closed, or a stand-in of a test runner or a notebook.
        with suppress(AttributeError, ValueError, OSError):
            stream.flush()
    prctl.flush_c_stdio()


def fresh_signals() -> None:
    """
    Give up the host's handlers, timers and mask.

    The wake-up descriptor goes first: before Python 3.12 a signal to the child would
    run the *host's* handler through it.
    """
    signal.set_wakeup_fd(-1)
    if faulthandler.is_enabled():
        faulthandler.disable()
    hangup_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    for number in (*_IGNORED_BY_PYTHON, *_IGNORED_BY_US):
        signal.signal(number, signal.SIG_IGN)
    if hangup_ignored:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def enter_zygote(guardian: int, keep: AbstractSet[int]) -> list[str]:
    """
    Turn the copy of the host into a zygote, up to the user's own preparation.

    Args:
        guardian: Pid of the parent; its death is ours from here on.
        keep: Descriptors that stay open, beside 0-2 and files.

    Returns:
        The connections of the host that this process gave up, by name.
    """
    fresh_signals()
    os.setpgid(0, 0)  # a signal to the command line's group is not for us
    prctl.die_with_parent(guardian)
    prctl.name_process("stem-zygote")
    _forget_event_loop()
    lost = descriptors.entomb(keep)
    descriptors.silence_stdin()
    _fresh_streams()
    atexit._clear()
    return lost


def settle_zygote() -> None:
    """Freeze what is there, so that workers share it for as long as they live."""
    flush_streams()
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection here would copy pages for nobody


def enter_worker(name: str) -> None:
    """
    Turn an adopted newborn, whose death with its parent is armed, into a worker.

    Args:
        name: What ``ps`` shows, up to 15 bytes.
    """
    prctl.name_process(name)
    prctl.adopt_orphans()
    _die_first()
    # What the zygote registered is not this process's to run at its end.
    atexit._clear()
    # The generator of ``random`` starts afresh in every fork by itself.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    gc.enable()


def thread_names() -> list[str]:
    """Return the name of every thread but the main one: Python's, else the kernel's."""
    known = {thread.native_id: thread.name for thread in threading.enumerate()}
    names: list[str] = []
    for task in os.listdir("/proc/self/task"):
        if int(task) == os.getpid():
            continue
        with suppress(OSError):  # it has just ended
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8") as file:
                kernel_name = file.read().strip()
            names.append(known.get(int(task), kernel_name))
    return names


def _forget_event_loop() -> None:
    events = sys.modules.get("asyncio.events")
    if events is None:
        return
    _inherited.append(events._get_running_loop())
    events._set_running_loop(None)
    events.set_event_loop(None)


def _fresh_streams() -> None:
    _inherited.extend((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
    sys.stdout = _line_stream(1, sys.__stdout__)
    sys.stderr = _line_stream(2, sys.__stderr__)
    # What looks for "the real ones" must not meet the host's, with their buffers.
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))


def _line_stream(number: int, old: io.TextIOBase | None) -> io.TextIOWrapper:
    # Line by line: a worker may be killed, and what it printed should be there.
    encoding = getattr(old, "encoding", None) or "utf-8"
    return open(
        number,
        "w",
        buffering=1,
        encoding=encoding,
        errors="backslashreplace",
        closefd=False,
    )


def _die_first() -> None:
    """Make the kernel prefer a worker when memory ends, and keep its core small."""
    with (
        suppress(OSError, ValueError),
        open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file,
    ):
        score = min(int(file.read()) + 500, 1000)
        file.seek(0)
        file.write(str(score))
    with suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
