"""Steps of the producer and of the workers."""

from .explore import ViolationError
from .memory import (
    DEAD,
    OFFERED,
    RETRY,
    SUCCESS,
    TAKEN,
    State,
    Steps,
    Worker,
    pack,
    unpack,
    with_cell,
    with_slot,
    with_worker,
)
from .setup import Setup


class Peers:
    """The processes that the supervisor cannot trust to live."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def producer(self, state: State) -> Steps:
        """Yield what the producer can do next, its death included."""
        if not state.producer or state.tail == self._setup.tasks:
            return
        yield "P5 publish", state._replace(tail=state.tail + 1)
        if state.crashes:
            crashes = state.crashes - 1
            yield "producer crash", state._replace(producer=0, crashes=crashes)

    def worker(self, state: State, number: int) -> Steps:
        """Yield what worker *number* can do next, its death included."""
        worker = state.workers[number]
        if worker.life == DEAD:
            return
        if len(worker.running) < self._setup.lanes:
            for cell in sorted(set(worker.cells)):
                if cell & 3 == OFFERED:
                    yield "W2 take", self._take(state, number, cell)
        for word in worker.running:
            yield "W6 success", self._publish(state, number, word, SUCCESS)
            task = unpack(word)[0]
            # Only task 0 asks for another attempt, and only once.
            if task == 0 and not state.slots[task].retried:
                yield "W6 retry", self._publish(state, number, word, RETRY)
        if state.doubles and worker.outbox:
            outbox = (*worker.outbox, worker.outbox[-1])
            workers = with_worker(state.workers, number, worker._replace(outbox=outbox))
            doubles = state.doubles - 1
            yield (
                "worker reports twice",
                state._replace(doubles=doubles, workers=workers),
            )
        if state.crashes:
            dead = worker._replace(life=DEAD, running=())
            workers = with_worker(state.workers, number, dead)
            crashes = state.crashes - 1
            yield "worker crash", state._replace(crashes=crashes, workers=workers)

    def _take(self, state: State, number: int, cell: int) -> State:
        task, fence, _ = unpack(cell)
        slot = state.slots[task]
        if slot.succeeded:
            raise ViolationError(f"W2: task {task} starts after its success")
        if slot.attempt != slot.retried:
            raise ViolationError(
                f"W2: task {task} runs attempt {slot.attempt}, not {slot.retried}"
            )
        for other in state.workers:
            if any(unpack(word)[0] == task for word in other.running):
                raise ViolationError(f"W2: task {task} runs twice at once")
        taken = pack(task, fence, TAKEN)
        worker = with_cell(state.workers[number], cell, taken)
        running = tuple(sorted((*worker.running, taken)))
        return self._with(
            state,
            number,
            worker._replace(running=running),
            task,
            begun=slot.begun + 1,
        )

    def _publish(self, state: State, number: int, word: int, kind: int) -> State:
        task, fence, _ = unpack(word)
        worker = state.workers[number]
        worker = Worker(
            worker.life,
            tuple([other for other in worker.running if other != word]),
            worker.cells,
            (*worker.outbox, pack(task, fence, kind)),
        )
        if kind == SUCCESS:
            return self._with(state, number, worker, task, succeeded=1)
        retried = state.slots[task].retried + 1
        return self._with(state, number, worker, task, retried=retried)

    @staticmethod
    def _with(
        state: State, number: int, worker: Worker, task: int, **ghosts: int
    ) -> State:
        return state._replace(
            slots=with_slot(state.slots, task, state.slots[task]._replace(**ghosts)),
            workers=with_worker(state.workers, number, worker),
        )
