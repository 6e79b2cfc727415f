"""What the survey counts, and that summing up does not depend on the grouping."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor.cli.survey import FileFacts, Function, Totals, sum_up, survey
from stem_actor.cli.survey_report import Failure, Faults, SurveyReport
from stem_actor.cli.survey_run import find_sources

SOURCE = b"""import os

class A:
    def first(self):
        if os:
            def inner(): return 1
        else:
            return lambda: [x for x in ()]

async def second():
    try:
        pass
    finally:
        def third():
            match 1:
                case 1:
                    def fourth(): pass
"""

functions = st.builds(Function, st.integers(1, 5), st.sampled_from("fgh"), st.just("x"))
facts = st.builds(
    FileFacts,
    file=st.sampled_from(["a.py", "b.py", "c.py"]),
    size=st.integers(0, 9),
    lines=st.integers(0, 9),
    definitions=st.integers(0, 9),
    encoding=st.sampled_from(["utf-8", "cp1252"]),
    longest=st.none() | functions,
)


def survey_bytes(folder: Path, source: bytes) -> FileFacts:
    path = folder / "x.py"
    path.write_bytes(source)
    return survey(os.fsencode(path), "x.py")


def test_definitions_are_found_in_every_kind_of_block(tmp_path: Path) -> None:
    found = survey_bytes(tmp_path, SOURCE)

    assert found == FileFacts(
        "x.py", len(SOURCE), 17, 6, "utf-8", Function(8, "second", "x.py")
    )


@pytest.mark.parametrize(
    ("source", "lines", "encoding"),
    [
        (b"", 0, "utf-8"),
        (b"x = 1", 1, "utf-8"),
        (b"\xef\xbb\xbfx = 1\n", 1, "utf-8"),
        (b"# coding: latin-1\nx = '\xe9'\n", 2, "iso8859-1"),
    ],
)
def test_lines_and_encodings(
    tmp_path: Path, source: bytes, lines: int, encoding: str
) -> None:
    found = survey_bytes(tmp_path, source)

    assert (found.lines, found.encoding, found.longest) == (lines, encoding, None)


@pytest.mark.parametrize(
    "source",
    [b"print 1\n", b"# coding: nope\n", b"x = '\xe9'\n", b"x = 1\0\n", b"(" * 9999],
)
def test_what_is_no_python_is_an_error_that_is_not_retried(
    tmp_path: Path, source: bytes
) -> None:
    with pytest.raises((SyntaxError, ValueError, RecursionError)):
        survey_bytes(tmp_path, source)


@given(st.lists(facts), st.randoms(use_true_random=False), st.integers(1, 5))
def test_sums_do_not_depend_on_order_and_grouping(
    files: list[FileFacts], rng: object, size: int
) -> None:
    parts = [Totals.of(it) for it in files]
    shuffled = parts.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    groups = [shuffled[at : at + size] for at in range(0, len(shuffled), size)]

    grouped = sum_up([sum_up(group) for group in groups])

    whole = sum_up(parts)
    lines = [it.lines for it in whole.biggest]
    assert replace(grouped, biggest=[], longest=[]) == replace(
        whole, biggest=[], longest=[]
    )
    assert lines == [it.lines for it in grouped.biggest]
    assert whole.longest == grouped.longest


def report(
    *failures: Failure,
    records: int = 2,
    evicted: int = 0,
    faults: Faults | None = None,
) -> SurveyReport:
    return SurveyReport(
        totals=sum_up([Totals.of(FileFacts("a.py", 1, 1, 0, "utf-8", None))]),
        failures=failures,
        files=2,
        records=records,
        evicted=evicted,
        tasks=3,
        elapsed_ns=2_000_000_000,
        latencies_ns=(1_000_000, 3_000_000),
        faults=Faults(),
    )


FAILED = Failure("b.py", "SyntaxError", "no", 1)


def test_a_report_is_complete_when_every_file_has_one_record() -> None:
    whole, lost = report(FAILED), report(FAILED, records=1)
    doubled, missing = report(FAILED, FAILED), report()

    complete = [it.is_complete for it in (whole, lost, doubled, missing)]

    assert complete == [True, False, False, False]


def test_a_record_that_made_room_is_counted_apart() -> None:
    whole = report(FAILED, records=1, evicted=1)

    assert whole.is_complete
    assert (whole.to_json()["records"], whole.to_json()["recordsEvicted"]) == (1, 1)
    assert not report(FAILED, records=0, evicted=1).is_complete


def test_the_fingerprint_is_of_what_was_found_and_not_of_how() -> None:
    peace = report(FAILED)
    war = replace(peace, faults=Faults(workers_killed=3), elapsed_ns=1, latencies_ns=())
    retried = report(replace(FAILED, attempts=2))

    assert peace.fingerprint == war.fingerprint
    assert peace.fingerprint != retried.fingerprint


def test_percentiles_are_of_files() -> None:
    found = report()

    assert [found.latency_ns(p) for p in (1, 50, 51, 99)] == [
        1_000_000,
        1_000_000,
        3_000_000,
        3_000_000,
    ]


def test_sources_are_found_without_packages_caches_and_links(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "b/site-packages/d.py", "__pycache__/e.py", "f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#" * len(name))
    (tmp_path / "link.py").symlink_to("a.py")
    (tmp_path / "folder.py").mkdir()
    odd = os.fsdecode(b"\xff.py")
    (tmp_path / odd).write_text("")

    found = [it.name for it in find_sources(tmp_path)]

    assert found == ["b/c.py", "a.py", "\\xff.py"]
