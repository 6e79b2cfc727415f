"""How much a worker is offered ahead: as much as it does in a dwell, and no more."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from stem_actor._core import lib

from .harness import MS, SECOND, Arena, Shape
from .memory import SLOTS_AT, Kind, State
from .peers import ScriptedWorker, Task, body_of

US = 1_000
CELLS = MOST = 64
DWELL_NS = 5 * MS
#: Where the times of starts lie in a worker's ring, ``native/sa_layout.h``.
TIMES_AT = 4096 + 8 * CELLS
#: A slot begins with its word.
SLOT_BYTES = 128
WORD = struct.Struct(f"<Q{SLOT_BYTES - 8}x")


def shape(workers: int) -> Shape:
    return Shape(
        workers=workers, cells=CELLS, credits_max=MOST, slots=512,
        arena_bytes=1 << 20, dwell_ns=DWELL_NS, ring_bytes=1 << 17,
    )  # fmt: skip


def held(arena: Arena) -> list[tuple[int, int, int]]:
    """Worker, slot and generation of each task that a worker has."""
    table = arena.segment.read(SLOTS_AT, SLOT_BYTES * arena.shape.slots)
    words = [word for (word,) in WORD.iter_unpack(table)]
    return [
        (word >> 44 & 0xFFF, number, word & 0xFFFFFFFF)
        for number, word in enumerate(words)
        if word >> 60 == State.LEASED
    ]


def leased(arena: Arena, worker: int = 0) -> int:
    """How many tasks *worker* has, the one that it runs included."""
    return sum(owner == worker for owner, _, _ in held(arena))


class Runner:
    """A worker that runs one task after the other, each as long as its body says."""

    def __init__(self, arena: Arena, number: int) -> None:
        self.arena, self.number = arena, number
        self.worker: ScriptedWorker = arena.start_worker(number)
        self.grant: Any = None
        self.until_ns = 0
        self.done = 0

    def go_on(self) -> None:
        """Do what is due by now: end what has run its time, begin what is next."""
        now = self.arena.now_ns
        if self.grant is not None and self.until_ns <= now:
            assert self.worker.report(self.grant, Kind.SUCCEEDED) == lib.SA_OK
            self.grant, self.done = None, self.done + 1
        if self.grant is None and (grant := self.worker.take()) is not None:
            ring = self.arena.worker_rings[self.number]
            ring.set_word(TIMES_AT + 8 * grant.cell, now)  # it reads the real clock
            self.grant, self.until_ns = grant, now + int(body_of(grant))


def run(arena: Arena, runner: Runner, count: int) -> Iterator[int]:
    """Let *count* tasks end, each exactly on time; yield what is held after each."""
    for _ in range(count):
        runner.go_on()
        arena.step(max(0, runner.until_ns - arena.now_ns))
        runner.go_on()
        arena.step()
        yield leased(arena)


def submit(arena: Arena, durations: list[int]) -> None:
    _, producer = arena.connect()
    sent = producer.submit(Task(), [b"%d" % it for it in durations])
    assert len(sent) == len(durations)


def test_credits_grow_to_64_for_short_tasks_and_fall_to_1_for_long_ones() -> None:
    arena = Arena(shape(1))
    runner = Runner(arena, 0)
    submit(arena, [10 * US] * 150 + [50 * MS] * 90 + [10 * US] * 150)
    arena.step()
    first = leased(arena)

    grown = list(run(arena, runner, 140))
    # What was offered before the long ones began cannot be foreseen; it runs down.
    fallen = list(run(arena, runner, 95))
    again = list(run(arena, runner, 90))
    arena.close()

    assert first == 6, "a dwell's worth of the millisecond that is assumed at first"
    assert grown[60:] == [MOST] * 80
    assert max(grown) == MOST
    assert min(fallen) == 1
    assert fallen[-5:] == [1] * 5
    assert max(again) == MOST


@given(st.lists(st.sampled_from([0, US, 100 * US, MS, 4 * MS, SECOND]), max_size=120))
@settings(deadline=None, max_examples=60)
def test_credits_stay_between_1_and_64(durations: list[int]) -> None:
    arena = Arena(shape(1))
    runner = Runner(arena, 0)
    submit(arena, [*durations, *[US] * 80])
    arena.step()

    held = list(run(arena, runner, len(durations)))
    waiting = [it for it in arena.live_slots() if it.state is State.READY]
    arena.close()

    # At least one for as long as anything waits, as the last eighty see to.
    assert all(1 <= it <= MOST for it in held)
    assert len(waiting) >= 80 - MOST


@given(
    durations=st.lists(
        st.sampled_from([US, 100 * US, MS, 30 * MS]), min_size=2, max_size=100,
    ),
    steps=st.lists(
        st.sampled_from([300 * US, MS, 3 * MS]), min_size=1, max_size=9
    ),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_a_long_task_holds_no_other_behind_it_for_more_than_a_dwell_and_a_step(
    durations: list[int], steps: list[int]
) -> None:
    """As long as another worker has nothing to do."""
    arena = Arena(shape(2))
    runners = [Runner(arena, number) for number in (0, 1)]
    submit(arena, durations)
    since: dict[tuple[int, int, int], int] = {}
    turn = 0
    while sum(it.done for it in runners) < len(durations):
        step_ns = steps[turn % len(steps)]
        turn += 1
        arena.step(step_ns)
        for runner in runners:
            runner.go_on()
        arena.step()
        since = offers(arena, runners, since)
        idle = [it for it in runners if leased(arena, it.number) == 0]
        if idle and since:
            waited = arena.now_ns - min(since.values())
            assert waited <= DWELL_NS + step_ns, (turn, step_ns)
    arena.close()


def offers(
    arena: Arena, runners: list[Runner], before: dict[tuple[int, int, int], int]
) -> dict[tuple[int, int, int], int]:
    """Since when each offer waits that lies behind something that runs."""
    running = {it.number: it.grant.slot for it in runners if it.grant is not None}
    return {
        key: before.get(key, arena.now_ns)
        for key in held(arena)
        if key[0] in running and running[key[0]] != key[1]
    }
