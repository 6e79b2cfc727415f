"""Processes as /proc shows them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from stem_actor.actor.tree.processes import (
    children_of,
    descendants_of,
    family_of,
    footprint_of,
    pss_of,
)


@pytest.fixture
def child() -> Iterator[int]:
    """A child that waits until the test is over."""
    gate, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(gate, 1)
        os._exit(0)
    os.close(gate)
    yield pid
    os.close(go)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("threads", [0, 80])
def test_children_are_found_however_many_threads_there_are(
    child: int, threads: int
) -> None:
    over = threading.Event()
    helpers = [threading.Thread(target=over.wait) for _ in range(threads)]
    for helper in helpers:
        helper.start()
    try:
        assert child in children_of(os.getpid())
        assert child in family_of(os.getpid())
        assert any(f"({child})" in it for it in descendants_of(os.getpid()))
    finally:
        over.set()
        for helper in helpers:
            helper.join()


def test_a_child_that_has_just_been_forked_has_hardly_any_memory_of_its_own(
    child: int,
) -> None:
    own, resident = pss_of(child), footprint_of(child)

    assert own is not None
    assert resident is not None
    assert 0 < own < resident.rss


def test_of_a_process_that_is_gone_nothing_is_told() -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)

    assert (children_of(gone), family_of(gone), pss_of(gone)) == ([], [], None)
