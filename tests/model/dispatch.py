"""Supervisor steps from the submit ring to a worker's cell, and after the outcome."""

from .explore import ViolationError
from .memory import (
    EMPTY,
    FREE,
    GONE,
    IDLE,
    LEASED,
    OFFERED,
    READY,
    At,
    Counter,
    Slot,
    State,
    Steps,
    pack,
    store_word,
    unpack,
    with_cell,
    with_slot,
    with_worker,
)
from .setup import Mutant, Setup


class Dispatch:
    """Admit, offer, revoke and record."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def admit(self, state: State) -> Steps:
        """Yield the first store of a batch of admissions."""
        if state.head == state.tail:
            return
        if self._setup.mutant != Mutant.HEAD_BEFORE_WORD:
            yield "A3 word", self._ready(state, done=0)
            return
        last = min(state.tail, state.head + self._setup.batch)
        for head in range(state.head + 1, last + 1):
            counter = Counter(At.HEADED, task=state.head)
            yield "A4 head too soon", state._replace(head=head, counter=counter)

    def admitting(self, state: State) -> Steps:
        """Yield the head store, or one more word before it."""
        done = state.counter.done
        yield "A4 head", state._replace(head=state.head + done, counter=IDLE)
        if done < self._setup.batch and state.head + done < state.tail:
            yield "A3 next word", self._ready(state, done=done)

    def headed(self, state: State) -> Steps:
        """Yield the word store that should have preceded the head store."""
        task = state.counter.task
        last = task + 1 == state.head
        then = IDLE if last else Counter(At.HEADED, task=task + 1)
        yield "A3 word too late", store_word(state, task, READY, then=then)

    def lease(self, state: State, task: int) -> Steps:
        """Yield a lease of READY *task* to each worker that has a free cell."""
        for number, worker in enumerate(state.workers):
            # It may be dead without our knowledge: its burial takes the lease back.
            if EMPTY in worker.cells:
                then = Counter(At.OFFERING, number, task)
                leased = store_word(state, task, LEASED, owner=number, then=then)
                yield "D2 lease", leased

    def offering(self, state: State) -> Steps:
        """Yield the offer that follows a lease."""
        number, task = state.counter.worker, state.counter.task
        offer = pack(task, state.slots[task].starts + 1, OFFERED)
        worker = with_cell(state.workers[number], EMPTY, offer)
        workers = with_worker(state.workers, number, worker)
        yield "D3 offer", state._replace(counter=IDLE, workers=workers)

    def revoke(self, state: State, number: int) -> Steps:
        """Yield the revocation of each offer that worker *number* has not taken."""
        worker = state.workers[number]
        for cell in sorted(set(worker.cells)):
            if cell & 3 != OFFERED:
                continue
            task = unpack(cell)[0]
            if self._setup.mutant == Mutant.REVOKE_ORDER:
                then = Counter(At.REVOKING, number, task)
                yield "V2 word too soon", store_word(state, task, READY, then=then)
                continue
            workers = with_worker(state.workers, number, with_cell(worker, cell, EMPTY))
            counter = Counter(At.REVOKED, task=task)
            yield "V1 revoke", state._replace(counter=counter, workers=workers)

    def revoked(self, state: State) -> Steps:
        """Yield the word store that follows a won revocation."""
        yield "V2 word", store_word(state, state.counter.task, READY, then=IDLE)

    def revoking(self, state: State) -> Steps:
        """Yield the blind store that ignores what the worker did meanwhile."""
        number, task = state.counter.worker, state.counter.task
        worker = state.workers[number]
        for cell in worker.cells:
            if cell != EMPTY and unpack(cell)[0] == task:
                worker = with_cell(worker, cell, EMPTY)
        workers = with_worker(state.workers, number, worker)
        yield "V1 blind store", state._replace(counter=IDLE, workers=workers)

    def record(self, state: State, task: int) -> Steps:
        """Yield the backend write of FINISHED *task*; repeated after a crash."""
        slot = state.slots[task]
        if slot.recorded not in (0, slot.starts):
            raise ViolationError(f"C6: task {task} has a second success record")
        yield (
            "C6 record",
            state._replace(
                counter=Counter(At.RECORDED, task=task),
                slots=with_slot(state.slots, task, slot._replace(recorded=slot.starts)),
            ),
        )

    def recorded(self, state: State) -> Steps:
        """Yield the free that follows the backend write."""
        task = state.counter.task
        # The numbers no longer matter; clearing them merges equivalent states.
        gone = Slot(GONE, succeeded=1, recorded=1)
        slots = with_slot(state.slots, task, gone)
        yield "C8 free", state._replace(counter=IDLE, slots=slots)

    def _ready(self, state: State, *, done: int) -> State:
        task = state.head + done
        if state.slots[task].state != FREE:
            raise ViolationError(f"A3: task {task} is admitted twice")
        then = Counter(At.ADMITTING, done=done + 1)
        return store_word(state, task, READY, then=then)
