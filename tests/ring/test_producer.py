"""A producer's handle lives as long as its last user, however early it is closed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stem_actor.errors import RingError
from stem_actor.ring.native import Status, lib
from stem_actor.ring.producer import RingProducer
from stem_actor.ring.segment import create_segment

_BYTES = 1 << 16
_SPIN_NS = 300_000_000


@dataclass(frozen=True)
class Opened:
    """A producer, and what it holds."""

    producer: RingProducer
    bell_fd: int
    path: Path

    @property
    def is_mapped(self) -> bool:
        return str(self.path) in Path("/proc/self/maps").read_text()

    @property
    def has_bell(self) -> bool:
        return Path(f"/proc/self/fd/{self.bell_fd}").exists()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    size = lib.sa_ring_size(0, _BYTES, _BYTES)
    ring = create_segment(tmp_path / "p.ring", size)
    lib.sa_ring_init(ring.at, size, 1, 0, _BYTES, _BYTES, bytes(16))
    bell = create_segment(tmp_path / "bell", 4096)
    bell_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    producer = RingProducer(ring, bell, bell_fd, owns_bell=True)
    yield Opened(producer, bell_fd, ring.path)
    producer.close()


@pytest.fixture
def _no_switches() -> Iterator[None]:
    """A thread keeps the interpreter until it enters C."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5)
    yield
    sys.setswitchinterval(before)


def test_closing_frees_mapping_and_bell_at_once(opened: Opened) -> None:
    assert opened.is_mapped

    opened.producer.close()

    assert not opened.is_mapped
    assert not opened.has_bell


def test_a_closed_producer_refuses_every_call(opened: Opened) -> None:
    opened.producer.close()

    for call in (
        lambda: opened.producer.submit(bytes(128), b""),
        lambda: opened.producer.drain(),
        lambda: opened.producer.wait(0),
        lambda: opened.producer.is_admitted(),
    ):
        with pytest.raises(RingError, match="closed"):
            call()


@pytest.mark.usefixtures("_no_switches")
def test_a_thread_inside_of_c_outlives_the_close(opened: Opened) -> None:
    """Its mapping stays until it has left; without that it dies by SIGSEGV."""
    inside, found = threading.Event(), []

    def spin() -> None:
        inside.set()
        found.append(opened.producer.wait(0, spin_ns=_SPIN_NS))

    thread = threading.Thread(target=spin)
    thread.start()
    inside.wait(10)
    opened.producer.close()
    was_mapped, had_bell = opened.is_mapped, opened.has_bell
    thread.join(10)

    assert found == [Status.TIMEOUT]
    assert (was_mapped, had_bell) == (True, True)
    assert (opened.is_mapped, opened.has_bell) == (False, False)
