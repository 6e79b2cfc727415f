"""
``python -m bench [NAME…] [--quick | --full] [--json FILE]``: print the table.

Each bench runs in a process of its own with a time limit, so that none inherits
threads, processes or a warm cache from another, and none can hold up the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import psutil

from bench.harness import Effort, Figure, Sheet, absent
from bench.report import Machine, as_json, sheet, table

#: Name → seconds it may take; in the order in which they run.
BENCHES = {
    "limit": 180,
    "throughput": 600,
    "latency": 300,
    "enqueue": 120,
    "features": 300,
    "delayed": 300,
    "recovery": 600,
    "idle": 900,
    "peers_local": 900,
    "limits": 3600,
}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="a look, in minutes")
    effort.add_argument("--full", action="store_true", help="limits: 100 runs a case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no bench {unknown[0]!r}; take {', '.join(BENCHES)}")
    return options


def measure_apart(name: str, flags: Sequence[str]) -> list[Figure | Sheet]:
    """Run one bench in a process of its own; a failure is a row of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        into = Path(folder, "figures.json")
        argv = [sys.executable, "-m", "bench", name, "--into", str(into), *flags]
        reason = _run(argv, BENCHES[name])
        if reason:
            return [absent(name, reason)]
        found = json.loads(into.read_text())
        figures = [Figure.of(row) for row in found["figures"]]
        return [*figures, *(Sheet.of(row) for row in found["sheets"])]


def _run(argv: Sequence[str], timeout_s: float) -> str:
    """Run a command in a session of its own; return why it failed, or nothing."""
    process = subprocess.Popen(argv, start_new_session=True)
    pidfd = os.pidfd_open(process.pid)
    try:
        ended, _, _ = select.select([pidfd], [], [], timeout_s)
    finally:
        os.close(pidfd)
        _clear_away(process)
    if not ended:
        return f"took longer than {timeout_s:.0f} s"
    code = process.returncode
    return "" if code == 0 else f"failed with exit status {code}; see above"


def _clear_away(process: subprocess.Popen[bytes]) -> None:
    """
    End what is left of a bench: its own group, and the sides below it.

    A tree of stem_actor is no descendant; its guardian sees its host die and ends it.
    """
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for descendant in below:
            with suppress(psutil.NoSuchProcess):
                descendant.kill()
    # Before the leader is reaped its pid can name no other group.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _measure_here(name: str, effort: Effort, into: Path) -> None:
    bench = import_module(f"bench.{name}")
    figures, sheets = _told_apart(bench.measure(effort))
    document = {
        "figures": [asdict(figure) for figure in figures],
        "sheets": [asdict(page) for page in sheets],
    }
    into.write_text(json.dumps(document))


def _told_apart(
    findings: Sequence[Figure | Sheet],
) -> tuple[list[Figure], list[Sheet]]:
    figures = [found for found in findings if isinstance(found, Figure)]
    return figures, [found for found in findings if isinstance(found, Sheet)]


def main(argv: Sequence[str]) -> int:
    """Run the benches named, print the tables; 1 if a row of them is absent."""
    options = arguments(argv)
    if options.into:
        effort = Effort.of(quick=options.quick, long=options.full)
        _measure_here(options.names[0], effort, options.into)
        return 0
    machine = Machine.here()
    chosen = {"--quick": options.quick, "--full": options.full}
    flags = [flag for flag, is_set in chosen.items() if is_set]
    findings: list[Figure | Sheet] = []
    for name in options.names or BENCHES:
        began = time.monotonic()
        findings += measure_apart(name, flags)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    figures, sheets = _told_apart(findings)
    command = shlex.join(["python", "-m", "bench", *argv])
    pages = [table(figures), *(sheet(page) for page in sheets)]
    print(f"{machine.line()}\n`{command}`\n\n" + "\n\n".join(pages))
    if options.json:
        options.json.write_text(as_json(machine, command, figures, sheets))
    return int(any(not figure.samples for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
