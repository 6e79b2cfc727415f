"""Rate limits with real processes: no second with a start too many."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stem_actor import StemApp, TaskCall, TaskState
from tests.app import jobs
from tests.app.conftest import Maker
from tests.app.until import until

SECOND = 10**9
#: A handler writes its time down a moment after its start is taken, and the next is
#: measured from the start: on a loaded machine that moment may be long.
SLACK_NS = SECOND // 4


def starts_in(path: Path) -> list[int]:
    """Return the times at which handlers wrote down that they began, sorted."""
    if not path.exists():
        return []
    return sorted(int(line.split()[3]) for line in path.read_text().splitlines())


def most_in(times: list[int], span_ns: int) -> int:
    """Return the most starts in any window of *span_ns*."""
    return max(sum(at <= other < at + span_ns for other in times) for at in times)


def limited(make_app: Maker, **options: object) -> StemApp:
    """Return an app with a limited ``journal`` of its own name."""
    app = make_app()
    app.task(name="limited", **options)(jobs.journal)  # type: ignore[call-overload]
    return app


def test_a_limit_holds_over_all_workers(make_app: Maker, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with limited(make_app, rate_limit="20/s") as app:
        handles = app.registry.get("limited").map([str(path)] * 50)

        for handle in handles:
            handle.result(timeout=30)

    times = starts_in(path)
    assert len(times) == 50
    assert most_in(times, SECOND - SLACK_NS) <= 20
    assert times[-1] - times[0] >= 2 * SECOND - SLACK_NS


def test_a_killed_supervisor_forgets_no_start(make_app: Maker, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with limited(make_app, rate_limit="20/s") as app:
        handles = app.registry.get("limited").map([str(path)] * 50)
        until(lambda: len(starts_in(path)) >= 20)

        os.kill(app.directory.owner() or 0, signal.SIGKILL)
        for handle in handles:
            handle.result(timeout=30)

    times = starts_in(path)
    assert len(times) >= 50
    assert most_in(times, SECOND - SLACK_NS) <= 20


def test_others_are_not_delayed_and_the_status_says_why(
    make_app: Maker, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    with limited(make_app, rate_limit="1/h", priority=9) as app:
        one, *others = app.registry.get("limited").map([str(path)] * 100)

        assert [app.enqueue("add", {"a": it}).result(timeout=20) for it in range(20)]
        assert one.result(timeout=20) == 0

        status = others[-1].status()
        assert status is not None
        assert (status.state, status.attempt) == (TaskState.QUEUED, 0)
        assert status.meta["waiting"] == "rate limit limited 1/h"
        assert app.stats()["limited"] == len(others)
        assert len(starts_in(path)) == 1


def test_each_group_has_a_limit_of_its_own(make_app: Maker, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with limited(make_app, group_rate_limit="2/h") as app:
        handles = [
            app.enqueue_call(
                TaskCall(
                    name="limited",
                    args={"path": str(path)},
                    headers={"tenant": tenant},
                )
            )
            for tenant in ("a", "b", "c")
            for _ in range(3)
        ]
        until(lambda: len(starts_in(path)) == 6)

        waiting = [handle.status() for handle in handles if not handle.done]
        told = {it.meta.get("waiting") for it in waiting if it and not it.error}
        assert told >= {f"rate limit group {it} 2/h" for it in "abc"}
        assert len(starts_in(path)) == 6


def test_a_limited_task_is_purged_like_any_other(
    make_app: Maker, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    with limited(make_app, rate_limit="1/h") as app:
        first, *_ = app.registry.get("limited").map([str(path)] * 4)
        first.result(timeout=20)

        assert app.queue("default").purge() == 3
        assert app.stats()["limited"] == 0
