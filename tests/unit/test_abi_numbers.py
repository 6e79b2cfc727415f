"""Numbers and layouts that Python keeps for speed are those of ``native/sa_abi.h``."""

from __future__ import annotations

from typing import Any

import pytest

from stem_actor.ring import core, native, producer, record, view
from stem_actor.ring.native import ffi, lib

#: Class → C enum, and the prefix that its names have over there.
ENUMS: dict[type[Any], tuple[str, str]] = {
    native.Status: ("sa_status", "SA_"),
    core.State: ("sa_state", "SA_"),
    core.Fault: ("sa_fault", "SA_FAULT_"),
    core.EventType: ("sa_event_type", "SA_EVENT_"),
    producer.Kind: ("sa_kind", "SA_"),
}
FLAGS = (
    "ACKS_EARLY", "IGNORE_RESULT", "RECOVERY_RETRY", "SPOOLED", "SOFT_EVENT",
    "POLICY", "BACKOFF", "JITTER",
)  # fmt: skip
#: Python's layout → what it reads, and its size in C.
LAYOUTS = {
    "task head": (record.HEAD.size, "struct sa_task"),
    "event": (core._EVENT.size, "struct sa_event"),
    "reply": (producer._REPLY.size, "struct sa_reply"),
    "numbers of a slot": (core._VAR.size, "struct sa_var"),
    "numbers of a slot, in the view": (view._VAR.size, "struct sa_var"),
}
#: Offset in Python → field of the slot.
SLOT = {
    "id": 8, "body_at": 24, "body_len": 28, "out_at": 36, "out_len": 40,
    "out_kind": 44, "ticket": 48, "src_end": 56, "src_ring": 64, "queue": 68,
    "finished_ns": 72, "var": 80,
}  # fmt: skip


@pytest.mark.parametrize("kept", ENUMS, ids=lambda it: it.__name__)
def test_a_class_of_numbers_is_the_whole_enum(kept: type[Any]) -> None:
    enum, prefix = ENUMS[kept]
    theirs = {
        name.removeprefix(prefix): number
        for number, name in ffi.typeof(f"enum {enum}").elements.items()
    }

    ours = {name: value for name, value in vars(kept).items() if name.isupper()}

    assert ours == theirs


def test_the_flags_of_a_task_are_the_whole_enum() -> None:
    theirs = ffi.typeof("enum sa_task_flag").elements
    ours = {getattr(record, name): f"SA_TASK_{name}" for name in FLAGS}

    assert ours == theirs


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_has_the_size_it_has_in_c(name: str) -> None:
    ours, theirs = LAYOUTS[name]

    assert ours == ffi.sizeof(theirs)


def test_a_slot_is_read_where_its_fields_lie() -> None:
    theirs = {name: ffi.offsetof("struct sa_slot", name) for name in SLOT}

    assert theirs == SLOT
    assert core._SLOT.size == view._SLOT_HEAD.size + 8 == SLOT["var"]
    assert view._QUEUE_AT == 4 * core._QUEUE_AT == SLOT["queue"]
    assert view._SLOT == core._SLOT_BYTES == ffi.sizeof("struct sa_slot")


def test_limits_and_versions_are_the_same_on_both_sides() -> None:
    assert (native.LAYOUT, record.VERSION) == (lib.SA_LAYOUT, lib.SA_TASK_VERSION)
    assert core.NO_SLOT == lib.SA_NONE & 0xFFFFFFFF
    assert (view._QUEUES, view._WORKERS) == (lib.SA_QUEUES_MAX, lib.SA_WORKERS_MAX)
    assert view._WALL == lib.SA_MARK_WALL
    assert record.HEAD.size == lib.SA_TASK_HEAD
