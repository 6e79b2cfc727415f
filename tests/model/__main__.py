"""
Run the protocol model: ``python -m tests.model`` at each size above that of the tests,
``python -m tests.model --workers 3`` at one size.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from .memory import State
from .protocol import Protocol
from .setup import LARGER, Mutant, Setup


def main(arguments: Sequence[str]) -> int:
    """Explore the models; return 0 if all are clean, 1 with a trace if one is not."""
    setups = (_setup(arguments),) if arguments else LARGER
    return max(map(_explore, setups))


def _explore(setup: Setup) -> int:
    print(setup, flush=True)
    started = time.perf_counter()
    report = Protocol(setup).explore()
    seconds = time.perf_counter() - started
    print(
        f"states {report.states:,}  steps {report.steps:,}  "
        f"finished {report.finished:,}  stuck {report.stuck:,}  {seconds:.1f} s"
    )
    if report.is_clean:
        return 0
    for label, state in report.trace:
        print(f"{label:24} {_shape(state)}")
    print(f"VIOLATION {report.violation}" if report.violation else "STUCK")
    return 1


def _setup(arguments: Sequence[str]) -> Setup:
    defaults = Setup()
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    for name in ("workers", "tasks", "crashes", "batch", "cells", "lanes", "doubles"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--mutant", type=Mutant, choices=list(Mutant))
    return Setup(**vars(parser.parse_args(arguments)))


def _shape(state: State) -> str:
    slots = " ".join(repr(tuple(slot)) for slot in state.slots)
    workers = " ".join(repr(tuple(worker)) for worker in state.workers)
    place = f"{state.counter.at.name} {tuple(map(int, state.counter[1:]))}"
    return f"{state.tail}/{state.head} {place} | {slots} | {workers}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
