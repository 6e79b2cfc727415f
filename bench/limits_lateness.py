"""How late our own limits are: every case, idle and under full load."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.harness import Effort, Figure, Sheet, absent, figure_of, percentile
from bench.limit_cases import CASES
from bench.limits_stem import WORKERS, Limited, loaded
from bench.limits_watch import Watch, look
from stem_actor import HardTimeLimitExceeded

LIMIT_S = 0.15
#: From a soft limit that a handler swallows to the hard limit behind it.
GRACE_S = 0.15
SPAN_S = 8.0
PATIENCE_S = 10.0
GOAL = "p99 ≤ 100 ms"
LOADS = ("idle", "loaded")
HARD_NOTE = (
    "Milliseconds from the limit (counted from the handler's first line) to the moment "
    "when its worker and every descendant are dead, seen by another process, whose own "
    "waking is in it. 20 ms of it are for the last words of the worker. *The record "
    "differs by*: how far `verdict.late_s` is off from that, at most; it ends with the "
    "death of the worker and does not count the sweep of what that left behind."
)
SOFT_NOTE = (
    "Milliseconds from the limit to the exception in the handler, by the handler's own "
    "clock. The other cases do not come back to the interpreter: the hard limit is "
    "for them."
)


class CaseFailed(Exception):
    """Raised when a limit did not hold, or what the caller was told is not so."""


@dataclass(slots=True)
class Late:
    """
    The lateness of one limit in one case, in milliseconds, by load.

    Attributes:
        outside: As seen by the observer, one sample per run.
        off: What the record says, less that; for hard limits.
        broken: Why there are no samples for a load.
    """

    case: str
    outside: dict[str, list[float]] = field(default_factory=dict)
    off: dict[str, list[float]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def hard(limited: Limited, case: str) -> tuple[float, float]:
    """
    Let one task run into its hard limit.

    Returns:
        How late everything of it was dead, in milliseconds, and what the record says.

    Raises:
        CaseFailed: If that was not its end.
    """
    with Watch() as watch:
        task = limited.endure.with_options(time_limit=LIMIT_S, priority=9)
        handle = task.enqueue(case, watch.path, SPAN_S)
        is_over = look(
            [watch], lambda: None not in (watch.dead_ns, watch.gone_ns), PATIENCE_S
        )
        status = handle.wait(PATIENCE_S).status
        verdict = None if status is None else status.verdict
        if not is_over or verdict is None or verdict.reason != "hard":
            raise CaseFailed(f"{case}: {watch.story()}; the record: {verdict}")
        with suppress(HardTimeLimitExceeded):
            handle.result(0)
        late_ms = _late_ms(watch, max(watch.dead_ns or 0, watch.gone_ns or 0))
        return late_ms, (verdict.late_s or 0.0) * 1000


def soft(limited: Limited, case: str) -> float | None:
    """
    Let one task run into its soft limit, and into the hard one if it goes on.

    Returns:
        How late the handler got the exception, in milliseconds; None: it never did.

    Raises:
        CaseFailed: If it got another one, or something of it is left.
    """
    with Watch() as watch:
        task = limited.endure.with_options(
            soft_time_limit=LIMIT_S, time_limit=LIMIT_S + GRACE_S, priority=9
        )
        handle = task.enqueue(case, watch.path, SPAN_S)
        is_over = look([watch], lambda: watch.gone_ns is not None, PATIENCE_S)
        status = handle.wait(PATIENCE_S).status
        name = watch.swallowed or watch.raised
        if not is_over or status is None or name not in ("", "SoftTimeLimitExceeded"):
            raise CaseFailed(f"{case}: {watch.story()}; the record: {status}")
        if not name:
            return None
        return _late_ms(watch, watch.swallowed_ns or watch.raised_ns or 0)


def _late_ms(watch: Watch, at_ns: int) -> float:
    assert watch.began_ns is not None
    return (at_ns - watch.began_ns) / 1e6 - LIMIT_S * 1000


def measure(effort: Effort) -> list[Figure | Sheet]:
    """Return a sheet for each limit, and their p99 as figures."""
    runs = 100 if effort.long else effort.pick(20, 5)
    hards = [Late(case) for case in CASES]
    softs = [Late(case) for case in CASES]
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-limits-") as folder:
        url = f"ring://{Path(folder, 'ring')}"
        limited = Limited(url)
        with limited.app:
            with suppress(CaseFailed):
                hard(limited, "sleep")  # a warm-up: the first worker is replaced
            for load in LOADS:
                context: AbstractContextManager[list[str]]
                context = loaded(url) if load == "loaded" else nullcontext([])
                with context as said:
                    _measured(_hards, limited, hards, load, runs)
                    _measured(_softs, limited, softs, load, runs)
    beside = f"{WORKERS} workers; loaded: {said[0]}. {runs} runs a case."
    return [
        *_figures("hard limit", hards),
        *_figures("soft limit", softs),
        _sheet("Lateness of our hard limit", hards, f"{HARD_NOTE} {beside}"),
        _sheet("Lateness of our soft limit", softs, f"{SOFT_NOTE} {beside}"),
    ]


def _measured(
    measure: Callable[[Limited, Late, str, int], None],
    limited: Limited,
    lates: Sequence[Late],
    load: str,
    runs: int,
) -> None:
    """Measure every case under a load; one that breaks does not end the others."""
    for late in lates:
        late.outside[load] = []
        try:
            measure(limited, late, load, runs)
        except CaseFailed as error:
            late.broken[load] = str(error)


def _hards(limited: Limited, late: Late, load: str, runs: int) -> None:
    found = [hard(limited, late.case) for _ in range(runs)]
    late.outside[load] = [outside for outside, _ in found]
    late.off[load] = [record - outside for outside, record in found]


def _softs(limited: Limited, late: Late, load: str, runs: int) -> None:
    """Measure as long as the exception arrives; a first run tells whether it can."""
    once = partial(soft, limited, late.case)
    first = once()
    late.outside[load] = [] if first is None else [first, *_found(once, runs - 1)]


def _found(once: partial[float | None], runs: int) -> Iterator[float]:
    for _ in range(runs):
        sample = once()
        if sample is None:
            raise CaseFailed(f"the soft limit came once, and then not: {once.args[1]}")
        yield sample


def _figures(name: str, lates: Sequence[Late]) -> Iterator[Figure]:
    """Yield, for each load, the p99 of every case, and a row for each broken one."""
    for load in LOADS:
        for late in lates:
            if load in late.broken:
                yield absent(f"{name}, {late.case}, {load}", late.broken[load])
        samples = {
            late.case: percentile(late.outside[load], 0.99)
            for late in lates
            if late.outside[load]
        }
        worst = max(samples, key=samples.__getitem__, default="none")
        yield figure_of(
            f"{name}, lateness, {load}, p99",
            "ms",
            list(samples.values()),
            goal=GOAL,
            note=f"over the p99 of {len(samples)} cases; the worst: {worst}",
        )


def _sheet(title: str, lates: Sequence[Late], note: str) -> Sheet:
    columns = [f"{load} {part}" for load in LOADS for part in ("p50", "p99", "max")]
    reached = [late for late in lates if any(late.outside.values())]
    extra = ("the record differs by",) if any(late.off for late in lates) else ()
    return Sheet(
        title,
        ("case", *columns, *extra),
        tuple(_cells(late) for late in reached),
        note,
        tuple(
            {"case": late.case, "outside_ms": late.outside, "record_off_ms": late.off}
            for late in lates
        ),
    )


def _cells(late: Late) -> tuple[str, ...]:
    cells = [late.case]
    for load in LOADS:
        samples = late.outside[load]
        parts = (0.50, 0.99, 1.0) if samples else ()
        cells += [f"{percentile(samples, part):.1f}" for part in parts] or ["–"] * 3
    off = [abs(ms) for samples in late.off.values() for ms in samples]
    return (*cells, *([f"{max(off):.1f}"] if late.off else []))
