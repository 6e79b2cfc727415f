"""ChildSubmitter: what it does with a task that is large, or finds no room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stem_actor.actor.worker.runtime import ChildSubmitter
from stem_actor.errors import QueueFull
from stem_actor.ring.native import Status
from stem_actor.ring.producer import Submitted
from stem_actor.ring.record import SPOOLED, TaskHead, unpack_record
from stem_actor.ring.spool import Spool, is_claim

HEAD = TaskHead(name="task").pack()


class SmallRing:
    """A ring whose records hold 1,000 bytes; has *room* for so many tasks."""

    payload_max = 1000

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken: list[tuple[bytes, bytes]] = []

    def submit(self, head: bytes, body: bytes) -> Submitted:
        assert len(head) + len(body) <= self.payload_max
        accepted = int(len(self.taken) < self.room)
        if accepted:
            self.taken.append((head, body))
        return Submitted(accepted, head[16:32], 7, Status.OK)

    def unadmitted(self) -> int:
        return 3

    def wait_room(self, timeout_ns: int) -> int:
        return int(Status.TIMEOUT)


def submitter(ring: Any, spool: Path) -> ChildSubmitter:
    return ChildSubmitter(ring, Spool(spool, 1 << 20), 512)


def test_a_large_child_goes_by_the_spool(tmp_path: Path) -> None:
    ring = SmallRing(room=2)
    body = bytes(5000)

    ids, ticket = submitter(ring, tmp_path).submit_many(
        HEAD, [body, body], queue="q", timeout_ns=0
    )

    (head, claim), *_ = ring.taken
    assert (len(ids), ticket) == (1, 7)
    assert is_claim(claim)
    assert unpack_record(head).head.flags & SPOOLED
    assert Spool(tmp_path, 1 << 20).get(claim) == body


def test_a_child_without_room_leaves_no_file_and_names_the_slots(
    tmp_path: Path,
) -> None:
    with pytest.raises(QueueFull) as caught:
        submitter(SmallRing(room=0), tmp_path).submit(
            HEAD, bytes(5000), queue="q", timeout_ns=0
        )

    assert (caught.value.limit, caught.value.accepted) == (512, 3)
    assert "512 slots, and 3 accepted tasks wait for one here" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
