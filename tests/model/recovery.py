"""Supervisor steps that read outcomes, bury dead workers and recover from a crash."""

from .memory import (
    ALIVE,
    DEAD,
    EMPTY,
    FINISHED,
    FREE,
    GONE,
    IDLE,
    LEASED,
    READY,
    RETRY,
    TAKEN,
    UNFENCED,
    At,
    Counter,
    Mode,
    State,
    Steps,
    Worker,
    pack,
    store_word,
    unpack,
    with_cell,
    with_slot,
    with_worker,
)
from .setup import Mutant, Setup


class Recovery:
    """Complete, bury and restart: everything that decides what a run has left."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def complete(self, state: State) -> Steps:
        """Yield the handling of outcome number ``counter.done`` of a worker."""
        counter = state.counter
        worker = state.workers[counter.worker]
        record = worker.outbox[counter.done]
        counter = counter._replace(record=record)
        mutant = self._setup.mutant
        if mutant == Mutant.FINISH_AFTER_HEAD:
            counter = counter._replace(at=At.POPPED)
            popped = worker._replace(outbox=worker.outbox[1:])
            workers = with_worker(state.workers, counter.worker, popped)
            yield "C5 head too soon", state._replace(counter=counter, workers=workers)
        elif not self._accepts(state, counter):
            counter = counter._replace(at=At.COUNTED, done=counter.done + 1, record=0)
            yield "C2 stale", state._replace(counter=counter)
        elif mutant == Mutant.SPLIT_COMMIT:
            counter = counter._replace(at=At.SPLIT_COMPLETE)
            yield "C3 starts alone", self._count_alone(state, record, counter)
        else:
            label = "C3 next word" if counter.done else "C3 word"
            yield label, self._settle(state, counter, starts=1)

    def split_complete(self, state: State) -> Steps:
        """Yield the word store that should have carried the start number."""
        yield "C3 word alone", self._settle(state, state.counter, starts=0)

    def popped(self, state: State) -> Steps:
        """Yield the word store that should have preceded out_head."""
        if self._accepts(state, state.counter):
            yield "C3 word too late", self._settle(state, state.counter, starts=1)
        else:
            yield "C2 stale", state._replace(counter=_next(state.counter))

    def completed(self, state: State) -> Steps:
        """Yield the reset of the cell whose outcome is now in the slot."""
        counter = state.counter
        task, fence, _ = unpack(counter.record)
        taken = pack(task, fence, TAKEN)
        worker = state.workers[counter.worker]
        if taken in worker.cells:
            worker = with_cell(worker, taken, EMPTY)
        workers = with_worker(state.workers, counter.worker, worker)
        if self._setup.mutant == Mutant.FINISH_AFTER_HEAD:
            counter = _next(counter)
        else:
            counter = counter._replace(at=At.COUNTED, done=counter.done + 1, record=0)
        yield "C4 cell", state._replace(counter=counter, workers=workers)

    def counted(self, state: State) -> Steps:
        """Yield the out_head store, or one more outcome before it."""
        counter = state.counter
        worker = state.workers[counter.worker]
        rest = worker._replace(outbox=worker.outbox[counter.done :])
        yield (
            "C5 out_head",
            state._replace(
                counter=_next(counter),
                workers=with_worker(state.workers, counter.worker, rest),
            ),
        )
        if counter.done < min(self._setup.batch, len(worker.outbox)):
            yield from self.complete(state)

    def burying(self, state: State) -> Steps:
        """Yield the next store that a dead worker's memory asks for."""
        counter = state.counter
        number = counter.worker
        worker = state.workers[number]
        drains = self._setup.mutant != Mutant.NO_DRAIN
        leased = [
            task
            for task, slot in enumerate(state.slots)
            if slot.state == LEASED and slot.owner == number
        ]
        used = [cell for cell in worker.cells if cell != EMPTY]
        if worker.outbox and drains:
            yield from self.complete(state)
        elif leased:
            yield from self._requeue(state, leased[0])
        elif used:
            worker = with_cell(worker, used[0], EMPTY)
            workers = with_worker(state.workers, number, worker)
            yield "death: cell", state._replace(workers=workers)
        else:
            at = At.RECOVERING if counter.mode == Mode.RECOVERY else At.IDLE
            fresh = Worker(ALIVE, worker.running, worker.cells, ())
            workers = with_worker(state.workers, number, fresh)
            yield "respawn", state._replace(counter=Counter(at), workers=workers)

    def split_requeue(self, state: State) -> Steps:
        """Yield the word store that should have carried the start number."""
        yield "death: word alone", self._word_ready(state, state.counter.task, starts=0)

    def cell_reset(self, state: State) -> Steps:
        """Yield the word store that should have preceded the cell's reset."""
        counter = state.counter
        yield (
            "death: word too late",
            self._word_ready(state, counter.task, starts=counter.done),
        )

    def fencing(self, state: State) -> Steps:
        """Yield the kill of every worker of the supervisor that died."""
        counter = Counter(At.HEAD_RULE)
        fenced = self._setup.mutant != Mutant.NO_FENCE
        workers = tuple(
            worker._replace(life=DEAD, running=())
            if fenced or worker.life == DEAD
            else worker._replace(life=UNFENCED)
            for worker in state.workers
        )
        yield "R4 fence", state._replace(counter=counter, workers=workers)

    def head_rule(self, state: State) -> Steps:
        """Yield the correction of head by what the live slots say was admitted."""
        head = state.head
        if self._setup.mutant != Mutant.NO_SOURCE:
            for task, slot in enumerate(state.slots):
                if slot.state not in (FREE, GONE):
                    head = max(head, task + 1)
        yield "R5 head", state._replace(head=head, counter=Counter(At.RECOVERING))

    def recovering(self, state: State) -> Steps:
        """Yield the burial of each worker of the old supervisor, in any order."""
        ended = True
        for number, worker in enumerate(state.workers):
            if worker.life != ALIVE:
                ended = False
                counter = Counter(At.BURYING, number, mode=Mode.RECOVERY)
                yield "R5 next worker", state._replace(counter=counter)
        if ended:
            yield "R7 serve", state._replace(counter=IDLE)

    def _accepts(self, state: State, counter: Counter) -> bool:
        task, fence, _ = unpack(counter.record)
        slot = state.slots[task]
        return (
            slot.state == LEASED
            and slot.owner == counter.worker
            and (
                slot.starts + 1 == fence or self._setup.mutant == Mutant.NO_STARTS_FENCE
            )
        )

    def _settle(self, state: State, counter: Counter, *, starts: int) -> State:
        task, _, kind = unpack(counter.record)
        slot = state.slots[task]
        retry = kind == RETRY
        return store_word(
            state,
            task,
            READY if retry else FINISHED,
            attempt=slot.attempt + retry,
            starts=slot.starts + starts,
            then=counter._replace(at=At.COMPLETED),
        )

    def _requeue(self, state: State, task: int) -> Steps:
        counter = state.counter
        worker = state.workers[counter.worker]
        held = [
            cell for cell in worker.cells if cell != EMPTY and unpack(cell)[0] == task
        ]
        lost = int(any(cell & 3 == TAKEN for cell in held))
        if self._setup.mutant == Mutant.SPLIT_COMMIT and lost:
            counter = counter._replace(at=At.SPLIT_REQUEUE, task=task)
            yield "death: starts alone", self._count_alone(state, task << 2, counter)
        elif self._setup.mutant == Mutant.CELL_FIRST and held:
            worker = with_cell(worker, held[0], EMPTY)
            counter = counter._replace(at=At.CELL_RESET, task=task, done=lost)
            workers = with_worker(state.workers, counter.worker, worker)
            yield (
                "death: cell too soon",
                state._replace(counter=counter, workers=workers),
            )
        else:
            yield "death: word", self._word_ready(state, task, starts=lost)

    def _word_ready(self, state: State, task: int, *, starts: int) -> State:
        starts += state.slots[task].starts
        return store_word(state, task, READY, starts=starts, then=_next(state.counter))

    @staticmethod
    def _count_alone(state: State, record: int, then: Counter) -> State:
        task = unpack(record)[0]
        slot = state.slots[task]
        slots = with_slot(state.slots, task, slot._replace(starts=slot.starts + 1))
        return state._replace(counter=then, slots=slots)


def _next(counter: Counter) -> Counter:
    """Return where the supervisor goes when it has handled a batch or a slot."""
    if counter.mode == Mode.SERVING:
        return IDLE
    return Counter(At.BURYING, counter.worker, mode=counter.mode)
