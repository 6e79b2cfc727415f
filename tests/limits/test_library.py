"""The soft limit never strikes in the library: what a handler asked for is whole."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict

from stem_actor import TaskEnqueueOptions, TaskResult
from tests.limits import jobs_library
from tests.limits.conftest import LATE_S, Maker, ended, eventually, verdict_of
from tests.limits.journal import Journal

JOBS = (jobs_library,)
RUNS = 300


def test_a_limit_at_any_instant_tears_no_call_of_the_context(
    make_limits_app: Maker, journal: Journal
) -> None:
    dice = random.Random(7)
    with make_limits_app(slots=8192, arena_bytes=16 << 20) as app:
        handles = []
        for _ in range(RUNS):
            limit_s = dice.uniform(0.005, 0.04)
            handles.append(
                app.enqueue(
                    "call_library",
                    {"path": journal.path, "seconds": limit_s * dice.uniform(0.5, 1.5)},
                    enqueue_options=TaskEnqueueOptions(soft_time_limit=limit_s),
                )
            )

        results = [ended(handle, 90) for handle in handles]

        assert eventually(lambda: app.stats()["live"] == 0)
        crashes = app.stats()["crashes"]

    endings = Counter(map(ending_of, results))
    assert set(endings) == {"succeeded", "SoftTimeLimitExceeded"}, endings
    assert all(it.status is not None and it.status.starts == 1 for it in results)
    assert crashes == 0
    struck_in = {place_of(it) for it in results if it.is_failed}
    # The third is asked for, before a wait for room: nothing is half done there.
    assert struck_in <= {
        ("jobs_library.py", "call_library"),
        ("jobs.py", "say"),
        ("runtime.py", "_give_way"),
    }
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for line in journal.words:
        word, _, number = line.partition(" ")
        said[word][number] += 1
    assert set(said["ran"].values()) == {1}  # no child ran twice
    assert set(said["after"]) <= set(said["ran"]) <= set(said["before"])
    # Each start was struck once at most, between one child's two words at most.
    torn = Counter(it.split(".")[0] for it in set(said["before"]) - set(said["after"]))
    assert all(count == 1 for count in torn.values())


def ending_of(result: TaskResult[object]) -> str:
    """Return ``"succeeded"``, or the type of the error."""
    if result.is_succeeded or result.status is None or result.status.error is None:
        return "succeeded" if result.is_succeeded else repr(result)
    return result.status.error.type


def place_of(result: TaskResult[object]) -> tuple[str, str]:
    """Return file and function that the interruption of *result* was raised in."""
    stack = verdict_of(result).stack
    assert stack is not None
    frames = re.findall(r'File "[^"]*?([^"/]+)", line \d+, in (\w+)', stack)
    assert frames[-1][0] == "interrupter.py", stack
    return frames[-2]  # type: ignore[no-any-return]


def test_a_limit_ends_the_wait_of_a_handler_for_room_for_its_children(
    make_limits_app: Maker, journal: Journal
) -> None:
    with make_limits_app(slots=64) as app:
        result = ended(app.enqueue("fill", {"path": journal.path}))

        verdict = verdict_of(result)
        assert verdict.reason == "soft"
        assert verdict.wall_s is not None
        assert 0.5 <= verdict.wall_s < 0.5 + LATE_S
        assert journal.words == ["begin", "SoftTimeLimitExceeded"]
