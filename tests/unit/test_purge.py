"""A purge ends, however fast others submit, and tells what is left and why."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stem_actor.actor.supervisor.admin import VERBS
from stem_actor.actor.supervisor.producers import Producers
from stem_actor.ring.core import Core, create_core
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.producer import RingProducer
from stem_actor.ring.record import SPOOLED, TaskHead
from stem_actor.ring.segment import Segment, create_segment, open_segment

_SLOTS = 8192
#: A claim check, as far as the core reads it: a mark, a size, a token.
CLAIM = b"\xc1stem-spool" + bytes(100)
#: Bounds what a purge without a limit of rounds would get to cancel.
_REFILLS = 400


class Ring:
    """A core with one producer, which submits whenever the core is let work."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700)
        directory = RingDirectory(path, is_anonymous=True)
        self.segment = create_core(path / "core", slots=_SLOTS, arena_bytes=8 << 20)
        self.core = Core(self.segment, workers_max=1, result_ttl_ns=10**9)
        self.bell = page(path / "bell")
        self.bell_fd = os.eventfd(0)
        loop: Any = SimpleNamespace(call_later=lambda *_: None)
        producers = Producers(self.core, directory, self.bell, self.bell_fd, loop)
        at = producers.admit(os.getpid(), os.eventfd(0)).ring.path
        self.core.recover(1, time.time_ns())
        self.producer = RingProducer(
            open_segment(at, writable=True), page(path / "page"), self.bell_fd
        )
        # What is spooled leaves an event behind, and room for events is bounded.
        self.head = TaskHead(name="add", queue="mail", flags=SPOOLED).pack()
        self.refills = 0
        self.takes_events = True
        self.now_ns = 1

    def pump(self) -> None:
        """As the supervisor's: the core works, and its events are taken."""
        for _ in range(2):  # the ring holds less than the slots
            if self.refills < _REFILLS:
                self.refills += 1
                self.producer.submit_many(self.head, [CLAIM] * 4096)
            for _ in range(20):
                self.now_ns += 10**10
                self.core.step(self.now_ns, time.time_ns() + self.now_ns, 4096)
                while self.takes_events and self.core.events():
                    pass
                self.producer.drain()

    def purge(self) -> dict[str, Any]:
        station: Any = SimpleNamespace(core=self.core, pump=self.pump)
        return dict(VERBS["purge"](station, {"queue": "mail"}))


def page(path: Path) -> Segment:
    made = create_segment(path, 4096)
    made.publish()
    return made


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    made = Ring(tmp_path / "ring")
    yield made
    made.producer.close()
    made.core.close()


def test_it_ends_after_64_rounds_though_a_producer_submits_all_the_while(
    ring: Ring,
) -> None:
    ring.pump()

    answer = ring.purge()

    assert 1 + 64 <= ring.refills // 2 < _REFILLS // 2
    assert answer["purged"] > 64 * 4000
    assert answer["left"] > 0
    assert "try again" in answer["why"]


def test_what_there_is_no_room_to_note_is_told_as_left(ring: Ring) -> None:
    ring.pump()
    ring.refills, ring.takes_events = _REFILLS, False

    first, second = ring.purge(), ring.purge()

    assert first["purged"] > 0
    assert (second["purged"], second["left"]) == (0, first["left"])
    assert second["left"] > 0
    assert "no room to note more of them now; try again" in second["why"]


def test_what_waits_is_gone_when_nobody_submits_any_more(ring: Ring) -> None:
    ring.pump()
    ring.refills = _REFILLS
    before = ring.core.stats()["ready"]

    answer = ring.purge()

    assert answer == {"purged": before, "found": True, "left": 0, "why": None}
    assert before > 4096
