"""Verdicts cross the wire whole, and what is newer or older than they is harmless."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor.model.error import TaskError
from stem_actor.model.verdict import VERDICT, Reason, Verdict
from stem_actor.payload.wire import pack_value, unpack
from stem_actor.ring.producer import Kind
from stem_actor.tasks.outcome import (
    add_verdict,
    pack_cancellation,
    pack_failure,
    pack_success,
    unpack_success,
    verdict_of,
)

counts = st.integers(min_value=0, max_value=2**40)
texts = st.text(st.characters(codec="utf-8"), max_size=30)
seconds = st.floats(min_value=0, max_value=1e9)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


verdicts = st.builds(
    Verdict,
    reason=st.sampled_from(get_args(Reason)),
    soft_exceeded=st.booleans(),
    signal=maybe(st.integers(1, 64)),
    exit_status=maybe(st.integers(0, 255)),
    oom=st.booleans(),
    wall_s=maybe(seconds),
    cpu_s=maybe(seconds),
    peak_rss=maybe(counts),
    minor_faults=maybe(counts),
    major_faults=maybe(counts),
    late_s=maybe(seconds),
    soft_stack=maybe(texts),
    stack=maybe(texts),
    descendants=st.lists(texts, max_size=4).map(tuple),
    swept=counts,
    threads=st.lists(texts, max_size=4).map(tuple),
    worker=maybe(counts),
    pid=maybe(counts),
)


@given(verdict=verdicts)
def test_a_verdict_survives_the_wire(verdict: Verdict) -> None:
    wire = unpack(pack_value(verdict.to_wire()))

    assert isinstance(wire, dict)
    assert Verdict.from_wire(wire) == verdict


@given(verdict=verdicts)
def test_every_kind_of_ending_carries_it(verdict: Verdict) -> None:
    wire = verdict.to_wire()
    error = TaskError(type="ValueError", message="bad", meta={VERDICT: wire})

    assert verdict_of(Kind.FAILED, pack_failure(error)) == verdict
    cancelled = pack_cancellation("revoked", None, wire)
    assert verdict_of(Kind.CANCELLED, cancelled) == verdict
    for meta in (None, {"key": 1}):
        payload = add_verdict(pack_success({"a": [1]}, meta=meta), wire)
        assert verdict_of(Kind.SUCCEEDED, payload) == verdict
        assert unpack_success(payload) == ({"a": [1]}, meta or {})


def test_what_is_not_known_takes_no_room() -> None:
    assert Verdict(reason="lost").to_wire() == {"reason": "lost"}


def test_keys_of_a_later_version_are_passed_over() -> None:
    wire = {"reason": "hard", "signal": 9, "moonPhase": "full"}

    assert Verdict.from_wire(wire) == Verdict(reason="hard", signal=9)


@pytest.mark.parametrize("wire", [{}, {"reason": None}, {"reason": "bored"}])
def test_a_verdict_without_a_known_reason_is_refused(wire: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="known reasons"):
        Verdict.from_wire(wire)


def test_the_stack_of_the_error_it_stands_in_is_its_own() -> None:
    error = TaskError(stack="where", meta={VERDICT: {"reason": "hard"}})

    assert error.verdict == Verdict(reason="hard", stack="where")


def test_an_error_without_one_has_none() -> None:
    assert TaskError(type="ValueError").verdict is None


def test_a_plain_result_was_returned() -> None:
    assert verdict_of(Kind.SUCCEEDED, pack_success(7)) == Verdict(reason="returned")


def test_an_expiry_was_no_start_and_has_none() -> None:
    assert verdict_of(Kind.CANCELLED, b"") is None
