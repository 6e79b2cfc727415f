"""The core beside its model, and what must hold between the two at any moment."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from .harness import MS, Arena, Shape
from .memory import Kind, State, Told
from .model import Book, Fate, Life
from .peers import Producer

WORKERS = 3
LIMITS = {"rate": (2, 50 * MS), "group": (3, 70 * MS)}


class WatchedCore(RuleBasedStateMachine):
    """A core, its model, and the invariants; the rules are the test's."""

    def teardown(self) -> None:
        """Drain everything: no task may be left behind."""
        if not hasattr(self, "arena"):
            return
        try:
            self._drain_to_the_end()
        finally:
            for producer in self.producers.values():
                producer.close()
            self.arena.close()

    @initialize(concurrency=st.sampled_from([1, 2]), at=st.sampled_from([0, -4096]))
    def open(self, concurrency: int, at: int) -> None:
        """Start with one producer, near the wrap of its positions or not."""
        shape = Shape(workers=WORKERS, concurrency=concurrency, slots=256)
        self.arena = Arena(shape)
        self.book = Book()
        self.producers: dict[int, Producer] = {}
        self.quiet: set[int] = set()
        self.paused: set[str] = set()
        self.crashed = False
        self.held: dict[int, Fate] = {}
        self.took: dict[str, list[int]] = {}
        self.dead_letters: set[tuple[int, int]] = set()
        self.told: set[tuple[int, int]] = set()
        self._connect(at % 2**64)

    def _connect(self, at: int) -> None:
        row, producer = self.arena.connect(at)
        self.producers[row] = producer

    def _step(self, budget: int = 256, after_ns: int = 0) -> None:
        self.arena.step(after_ns, budget)
        self._observe()

    def _collect(self, row: int) -> None:
        self._note(row, self.producers[row].drain())

    def _note(self, row: int, replies: list[Any]) -> None:
        mine = {f.ticket: f for f in self.book.fates.values() if f.row == row}
        for reply in replies:
            if reply.kind is Kind.PROGRESS:
                continue
            if reply.kind is Kind.MERGED:  # answered once more by a new supervisor
                assert self.crashed
                assert reply.payload in self.book.fates
                continue
            fate = mine[reply.ticket]
            assert fate.life is Life.FINISHED
            assert (fate.ending, fate.starts, fate.attempt) == (
                reply.kind,
                reply.starts,
                reply.attempt,
            )
            fate.replies += 1
            assert fate.replies == 1 or self.crashed

    def _holder(self, key: int) -> Fate | None:
        """Return the task that holds a unique key."""
        fate = self.held.get(key)
        if fate is None or fate.life is Life.FINISHED:
            return None
        has_lapsed = fate.lapses_ns and fate.lapses_ns <= self.arena.wall_ns
        return None if has_lapsed else fate

    def _toll(self, fate: Fate) -> None:
        """A start is taken: no window of a limit may hold one too many."""
        for limit in fate.limits:
            took, (tokens, span_ns) = self.took.setdefault(limit, []), LIMITS[limit]
            took.append(self.arena.now_ns)
            assert sum(at > took[-1] - span_ns for at in took) <= tokens
        fate.took_ns = self.arena.now_ns

    def _untoll(self, fate: Fate) -> None:
        """It was no start: no handler has the name."""
        for limit in fate.limits:
            self.took[limit].remove(fate.took_ns)

    def _state(self, fate: Fate) -> State | None:
        slot = self.arena.find(fate.id)
        return None if slot is None else slot.state

    def _observe(self) -> None:
        """Bring the model to where a step may have brought the core."""
        for event in self.arena.events():
            if event.type == Told.HELD:
                self.told.add((event.slot, event.gen))
            elif event.type == Told.DEAD_LETTER:
                self.dead_letters.add((event.slot, event.gen))
        for fate in self.book.at(Life.REPORTED):
            state = self._state(fate)
            if state is not State.LEASED:
                fate.commit(self.arena.now_ns)
        for fate in self.book.at(Life.WAITING, Life.DELAYED, Life.PARKED):
            slot = self.arena.find(fate.id)
            if slot is None:
                continue
            if slot.state is State.FINISHED:
                assert fate.expires_ns
                assert fate.expires_ns <= self.arena.wall_ns
                fate.finish(Kind.CANCELLED)
            elif slot.state is State.DELAYED:
                fate.life = Life.DELAYED
            elif fate.life is Life.DELAYED:
                assert fate.wake_ns <= self.arena.now_ns
                fate.life = Life.WAITING

    @invariant()
    def the_core_is_sound(self) -> None:
        """Its own walk over every list, heap and counter finds nothing."""
        if hasattr(self, "arena"):
            assert self.arena.check() == 0

    @invariant()
    def states_and_numbers_agree(self) -> None:
        """Each slot says what the model says."""
        if not hasattr(self, "arena"):
            return
        allowed = {
            Life.WAITING: (State.READY, State.LEASED, None),
            Life.DELAYED: (State.DELAYED, None),
            Life.RUNNING: (State.LEASED,),
            Life.REPORTED: (State.LEASED,),
            Life.HELD: (State.HELD,),
            Life.PARKED: (State.PARKED,),
            Life.FINISHED: (State.FINISHED, None),
        }
        for fate in self.book.fates.values():
            slot = self.arena.find(fate.id)
            state = None if slot is None else slot.state
            assert state in allowed[fate.life], (fate, slot)
            if slot is None or fate.life is Life.REPORTED:
                continue
            assert (slot.starts, slot.attempt, slot.crashes, slot.collaterals) == (
                *(fate.starts, fate.attempt, fate.crashes, fate.collaterals),
            )
            if fate.life is Life.FINISHED:
                assert slot.kind == fate.ending
