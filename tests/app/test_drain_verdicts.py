"""A start that a stop has cost is judged before the supervisor goes."""

from __future__ import annotations

from pathlib import Path

from tests.app.conftest import Maker
from tests.app.until import until


def test_what_a_stop_has_ended_for_good_is_known_at_the_next_start(
    make_app: Maker, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    app = make_app(broker="ring://stopped")
    with app:
        handle = app.enqueue("journal_once", {"path": str(path), "seconds": 60.0})
        until(path.exists)
        report = app.stop(deadline=0)

    with app:
        status = app.status(handle.id)
        recovered = app.stats()["recovered"]

    assert (report.unstarted, recovered["held"]) == (0, 0)
    assert status is not None
    assert (status.state, status.verdict and status.verdict.worker is not None) == (
        "failed",
        True,
    )
