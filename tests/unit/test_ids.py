"""Task ids."""

from __future__ import annotations

import uuid

import pytest

from stem_actor.clock import VirtualClock
from stem_actor.ids import format_id, new_id, parse_id


def test_a_new_id_is_a_uuid_of_version_7_with_its_time() -> None:
    found = uuid.UUID(bytes=new_id(VirtualClock(wall_ns=1_234_567_890_123_999_999)))

    assert found.version == 7
    assert found.variant == uuid.RFC_4122
    assert int.from_bytes(found.bytes[:6], "big") == 1_234_567_890_123


def test_ids_of_one_instant_differ() -> None:
    clock = VirtualClock()

    assert len({new_id(clock) for _ in range(1000)}) == 1000


def test_text_and_bytes_are_each_others_inverse() -> None:
    raw = new_id()

    assert format_id(raw) == str(uuid.UUID(bytes=raw))
    assert parse_id(format_id(raw)) == raw
    assert parse_id(format_id(raw).upper()) == raw


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has 0 characters"),
        ("0198f1c2-7a00-7c31-9b0e-3f0a52d1e7a", "has 35 characters"),
        ("0198f1c2-7a00-7c31-9b0e-3f0a52d1e7ag", "hexadecimal"),
        ("0198f1c27-a00-7c31-9b0e-3f0a52d1e7aa", "8-4-4-4-12"),
    ],
)
def test_a_bad_id_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_id(text)


def test_only_16_bytes_are_an_id() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        format_id(b"abc")
