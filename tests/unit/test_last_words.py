"""What a worker leaves in its file, however it was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor.actor.worker.last_words import NO_WORDS, LastWords, read_last_words

FIRST, SECOND = bytes(range(20)), bytes(range(20, 40))


@contextmanager
def words_in(file: Path) -> Iterator[LastWords]:
    """Return the words of a process; in a real one they are open to its end."""
    words = LastWords(file)
    try:
        yield words
    finally:
        words._file.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "words"


def test_there_are_none_without_a_file(file: Path) -> None:
    assert read_last_words(file) == NO_WORDS


def test_stacks_are_kept_by_start_beside_the_end(file: Path) -> None:
    with words_in(file) as words:
        words.keep(FIRST, "at the first\n  line 1")
        words.keep(SECOND, "at the second")
        words.write("the end")

    found = read_last_words(file)

    assert found.end == "the end"
    assert {k: v.strip() for k, v in found.soft.items()} == {
        FIRST: "at the first\n  line 1",
        SECOND: "at the second",
    }


MAIN = 'Stack (most recent call first):\n  File "a.py", line 1 in handler\n'
OTHER = 'Thread 0x00a (most recent call first):\n  File "b.py", line 2 in other\n\n'


def test_the_main_thread_is_told_first_where_the_others_are_too_many(
    file: Path,
) -> None:
    with words_in(file) as words:
        words.keep(FIRST, "at the first")
        words.write(MAIN + 100 * OTHER + 4 * (OTHER[:-1] + 40 * "  deep\n") + "...\n")

    end = read_last_words(file).end or ""

    assert end.startswith(MAIN)
    assert end.endswith("...\n")
    assert OTHER in end


def test_a_very_deep_main_thread_leaves_room_for_others(file: Path) -> None:
    with words_in(file) as words:
        words.write(MAIN + 5_000 * "  deep\n" + 500 * OTHER)

    end = read_last_words(file).end or ""

    assert len(end) <= 16 * 1024 + 1
    assert end.startswith(MAIN)
    assert end.endswith(OTHER)


def test_the_main_thread_is_told_once_where_it_is_among_all(file: Path) -> None:
    own = MAIN.replace("Stack", "Current thread 0x00b")
    with words_in(file) as words:
        words.write(MAIN + OTHER + own)

    assert read_last_words(file).end == OTHER + own


def test_stacks_before_a_kill_are_kept_by_start_and_are_not_those_of_a_crash(
    file: Path,
) -> None:
    file.write_bytes(
        b"--- last words of 80010000000000ff\nin the first\n--- end ---\n"
        b"Fatal Python error: in another\n"
    )

    found = read_last_words(file)

    assert found.last == {bytes.fromhex("80010000000000ff"): "in the first\n"}
    assert found.end == "Fatal Python error: in another\n"


def test_stacks_that_were_cut_off_by_the_kill_are_their_starts_all_the_same(
    file: Path,
) -> None:
    file.write_bytes(b"--- last words of 8001000000000001\nin the fir")

    found = read_last_words(file)

    assert found.last == {bytes.fromhex("8001000000000001"): "in the fir"}
    assert found.end is None


def test_a_fresh_process_starts_with_an_empty_file(file: Path) -> None:
    with words_in(file) as words:
        words.write("of the one before")

    with words_in(file):
        pass

    assert read_last_words(file) == NO_WORDS


def test_the_last_stack_of_a_start_stands(file: Path) -> None:
    with words_in(file) as words:
        words.keep(FIRST, "earlier")
        words.keep(FIRST, "later")

    assert read_last_words(file).soft[FIRST].strip() == "later"


def test_no_more_is_read_than_anybody_needs(file: Path) -> None:
    with words_in(file) as words:
        words.keep(FIRST, "long ago")
        words.write("x" * 300_000)
        words.write("the end")

    found = read_last_words(file)

    assert found.soft == {}
    assert found.end is not None
    assert found.end.endswith("xthe end")
    assert len(found.end) == 16 * 1024


@given(cut=st.integers(min_value=0, max_value=400))
def test_a_file_that_was_cut_anywhere_gives_whole_stacks_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    file = tmp_path_factory.mktemp("cut") / "words"
    with words_in(file) as words:
        words.keep(FIRST, "at the first " * 5)
        words.keep(SECOND, "at the second " * 5)
    file.write_bytes(file.read_bytes()[:cut])

    found = read_last_words(file)

    whole = {FIRST: "at the first " * 5, SECOND: "at the second " * 5}
    assert set(found.soft) <= set(whole)
    assert all(text.strip() == whole[k].strip() for k, text in found.soft.items())


@given(data=st.binary(max_size=300))
def test_whatever_lies_there_is_read_without_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.mktemp("wild") / "words"
    file.write_bytes(
        b"--- soft limit of " + data + b"--- end ---\n--- last words of " + data
    )

    found = read_last_words(file)

    assert all(isinstance(text, str) for text in found.soft.values())
