"""The processes of a running stem_actor, found by what the kernel knows of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

PROC = Path("/proc")
PATIENCE_S = 20.0
#: A tree that looks the same after this long has no birth under way.
CALM_S = 0.25
_POINTED_AT = re.compile(r"^Pid:\s*(\d+)", re.MULTILINE)


def guardian_of(host: int) -> psutil.Process:
    """
    Return the guardian whose pidfd points at *host*.

    The guardian is no child of its host, and other trees may run on this machine; the
    pidfd it watches is the one sure sign of whose it is.

    Raises:
        LookupError: If there is none.
    """
    for process in psutil.process_iter():
        try:
            if process.name() == "stem-guardian" and host in _watched_by(process.pid):
                return process
        except (psutil.Error, OSError):
            continue
    raise LookupError(f"no guardian watches process {host}")


def _watched_by(pid: int) -> set[int]:
    """Return the pids that the pidfds of a process point at."""
    watched = set()
    for facts in (PROC / str(pid) / "fdinfo").iterdir():
        with suppress(OSError):  # closed since it was listed
            found = _POINTED_AT.search(facts.read_text())
            if found:
                watched.add(int(found[1]))
    return watched


def by_role(host: int) -> dict[str, list[int]]:
    """
    Return role → pids of the tree of *host*.

    The roles are ``host``, ``guardian``, ``supervisor``, ``zygote`` (the spare too)
    and ``worker``.
    """
    guardian = guardian_of(host)
    zygote = int(_option(guardian.cmdline(), "--zygote-pid"))
    roles: dict[str, list[int]] = {
        "host": [host],
        "guardian": [guardian.pid],
        "supervisor": [],
        "zygote": [],
        "worker": [],
    }
    for process in guardian.children(recursive=True):
        try:
            name, parent = process.name(), process.ppid()
        except psutil.Error:
            continue
        if process.pid == zygote or "zygote" in name or "spare" in name:
            roles["zygote"].append(process.pid)
        elif "worker" in name:
            roles["worker"].append(process.pid)
        elif parent == guardian.pid:
            roles["supervisor"].append(process.pid)
    return roles


def _option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


def settled(host: int, workers: int) -> dict[str, list[int]]:
    """
    Return `by_role` once every worker is there and no birth is under way.

    A spare worker that waits beside them counts as a worker too.

    Raises:
        TimeoutError: If that is not so within PATIENCE_S.
    """
    deadline = time.monotonic() + PATIENCE_S
    before: dict[str, list[int]] = {}
    while time.monotonic() < deadline:
        now = by_role(host)
        if now == before and len(now["worker"]) >= workers:
            return now
        before = now
        time.sleep(CALM_S)
    raise TimeoutError(f"the tree of {host} has not settled: {before}")


def cpu_ns(pids: Iterable[int]) -> int:
    """
    Return the CPU time of processes, all threads, in nanoseconds.

    From ``schedstat``: the tick of ``stat`` (10 ms) is too coarse for an idle process.
    """
    total = 0
    for pid in pids:
        for thread in (PROC / str(pid) / "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total


def cpu_by_role(roles: Mapping[str, list[int]]) -> dict[str, int]:
    """Return role → CPU time in nanoseconds, now."""
    return {role: cpu_ns(pids) for role, pids in roles.items()}


def pss(pids: Iterable[int]) -> int:
    """Return the proportional set size of processes together, in bytes."""
    return sum(_kib(PROC / str(pid) / "smaps_rollup", "Pss") for pid in pids) * 1024


def heap(pid: int) -> int:
    """Return the resident private memory of a process in bytes: no shared mapping."""
    return _kib(PROC / str(pid) / "status", "RssAnon") * 1024


def resident(pid: int) -> int:
    """Return everything a process holds resident, in bytes, the arena included."""
    return _kib(PROC / str(pid) / "status", "VmRSS") * 1024


def _kib(path: Path, field: str) -> int:
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise LookupError(f"{path} has no {field}")


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
