"""More time for one start, what counts against it, and limits that only tell."""

from __future__ import annotations

import time
from typing import Any

import pytest

from stem_actor import StemApp
from stem_actor.errors import SettingsError
from tests.limits import jobs_interrupted
from tests.limits.conftest import LATE_S, Maker, ended, verdict_of
from tests.limits.journal import Journal

JOBS = (jobs_interrupted,)


@pytest.mark.case(39)
@pytest.mark.parametrize(
    ("name", "reason", "by", "said", "ends_s"),
    [
        # soft 0.3 s, max_extension 0.5 s
        ("extend", "soft", [0.2], ["0.200 0.2"], 0.5),
        ("extend", "soft", [60.0], ["0.500 0.5"], 0.8),
        (
            "extend",
            "soft",
            [0.4, 0.4, 0.4],
            ["0.400 0.4", "0.100 0.1", "0.000 0.0"],
            0.8,
        ),
        ("extend_never", "soft", [5.0], ["0.000 0.0"], 0.3),
        ("extend_hard", "hard", [60.0], ["0.500 0.5"], 1.1),
    ],
    ids=["granted", "capped", "capped-in-all", "not-declared", "hard"],
)
def test_an_extension_moves_both_limits_by_at_most_what_was_declared(
    limits_app: StemApp,
    journal: Journal,
    name: str,
    reason: str,
    by: list[float],
    said: list[str],
    ends_s: float,
) -> None:
    result = ended(limits_app.enqueue(name, {"path": journal.path, "by": by}))

    verdict = verdict_of(result)
    assert verdict.reason == reason
    assert verdict.wall_s is not None
    assert ends_s - 0.001 <= verdict.wall_s < ends_s + LATE_S
    cleaned = ["clean-up"] if reason == "soft" else []
    assert journal.words == [*said, "begin", *cleaned]


def test_a_limit_that_only_tells_raises_nothing(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("notice", {"path": journal.path}))

    assert result.value == "done"
    assert journal.words == ["None"]
    assert result.status is not None
    assert result.status.verdict is not None
    assert result.status.verdict.reason == "returned"
    assert result.status.verdict.soft_exceeded


@pytest.mark.case(41)
def test_the_soft_limit_counts_the_reading_of_arguments_and_does_not_tear_it(
    limits_app: StemApp, journal: Journal
) -> None:
    result = ended(limits_app.enqueue("read", {"path": journal.path, "seconds": 0.5}))

    verdict = verdict_of(result)
    assert verdict.reason == "soft"
    assert verdict.wall_s is not None
    assert 0.5 <= verdict.wall_s < 0.5 + LATE_S
    assert journal.words[:2] == ["reading", "read"]
    assert journal.words[2:] in ([], ["begin", "clean-up"])


@pytest.mark.case(41)
def test_the_soft_limit_counts_the_writing_of_a_result_and_does_not_tear_it(
    limits_app: StemApp, journal: Journal
) -> None:
    args = {"path": journal.path, "seconds": 0.5}

    result = ended(limits_app.enqueue("write", args))

    assert result.raw_payload == args
    assert journal.words == ["writing", "written"]
    assert result.status is not None
    assert result.status.verdict is not None
    assert result.status.verdict.soft_exceeded


@pytest.mark.case(41)
@pytest.mark.parametrize(
    ("name", "word"), [("read_hard", "reading"), ("write_hard", "writing")]
)
def test_the_hard_limit_counts_reading_and_writing(
    limits_app: StemApp, journal: Journal, name: str, word: str
) -> None:
    began = time.monotonic()

    result = ended(limits_app.enqueue(name, {"path": journal.path, "seconds": 60}))

    assert 0.9 <= time.monotonic() - began < 0.9 + LATE_S
    assert verdict_of(result).reason == "hard"
    assert journal.words == [word]


@pytest.mark.case(42)
@pytest.mark.parametrize("after_s", [0.0, 0.28, 0.3])
def test_a_result_of_200_mb_at_the_limit_has_one_ending_and_leaves_no_file(
    make_limits_app: Maker, journal: Journal, after_s: float
) -> None:
    args = {"path": journal.path, "after": after_s, "size": 200_000_000}
    with make_limits_app() as app:
        handle = app.enqueue("write_much", args)

        result = ended(handle)

        verdict = verdict_of(result)
        assert verdict.reason in ("raised", "soft", "hard")
        assert app.status(handle.id) == app.status(handle.id)
        assert ended(app.enqueue("pid")).is_succeeded
        assert list(app.directory.spool.iterdir()) == []
    if verdict.reason == "raised":
        assert result.status is not None
        assert result.status.error is not None
        assert result.status.error.type == "PayloadTooLarge"


@pytest.mark.case(38)
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"soft_time_limit": 2, "hard_time_limit": 1}, "must not be above"),
        ({"soft_time_limit": 0}, "soft_time_limit must be > 0"),
        ({"hard_time_limit": 0.0}, "hard_time_limit must be > 0"),
        ({"hard_time_limit": -1}, "hard_time_limit"),
        ({"cpu_limit": 0}, "cpu_limit must be > 0"),
    ],
)
def test_limits_that_cannot_hold_are_refused_where_they_are_defined(
    options: dict[str, Any], problem: str
) -> None:
    app = StemApp()

    with pytest.raises(SettingsError, match=problem) as caught:
        app.task(**options)(jobs_interrupted.wait_for)

    assert "jobs_interrupted.py:" in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"memory_limit": 1 << 30}, {"cpu_limit": 1.5}], ids=["memory", "cpu"]
)
def test_a_coroutine_cannot_have_limits_of_what_it_shares(
    options: dict[str, Any],
) -> None:
    app = StemApp()

    with pytest.raises(SettingsError, match="a coroutine shares its process") as caught:
        app.task(**options)(jobs_interrupted.anap)

    assert "jobs_interrupted.py:" in str(caught.value)
    assert next(iter(options)) in str(caught.value)


def test_nor_can_it_be_given_them_by_a_call(
    limits_app: StemApp, journal: Journal
) -> None:
    with pytest.raises(SettingsError, match="a coroutine shares its process"):
        limits_app.enqueue("anap", {"path": journal.path}, options={"cpu_limit": 1})

    assert journal.words == []
