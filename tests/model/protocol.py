"""
The dispatch and recovery protocol: each step is one store to shared memory.

Labels name the steps of the ring protocol (A3, D2, V1, ...). Any process may be
killed between any two steps, the supervisor inside its own recovery too.

Left out, because nobody depends on them: order hints, wake-ups (see ``wakeup``),
payload bytes, which are invisible until a word is stored, and slot reuse.
"""

from collections.abc import Callable

from .dispatch import Dispatch
from .explore import Report, explore
from .memory import (
    ALIVE,
    DEAD,
    DOWN,
    EMPTY,
    FINISHED,
    GONE,
    IDLE,
    READY,
    At,
    Counter,
    Mode,
    Slot,
    State,
    Steps,
    Worker,
    canonical,
)
from .peers import Peers
from .recovery import Recovery
from .setup import Setup

FAULTS = frozenset(
    {"producer crash", "worker crash", "supervisor crash", "worker reports twice"}
)


class Protocol:
    """Successor function of the protocol, whole or with one rule broken."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._name = canonical if setup.symmetry else _as_it_is
        self._peers = Peers(setup)
        self._dispatch = dispatch = Dispatch(setup)
        self._recovery = recovery = Recovery(setup)
        self._places: dict[int, Callable[[State], Steps]] = {
            At.IDLE: self._idle,
            At.ADMITTING: dispatch.admitting,
            At.HEADED: dispatch.headed,
            At.OFFERING: dispatch.offering,
            At.REVOKED: dispatch.revoked,
            At.REVOKING: dispatch.revoking,
            At.RECORDED: dispatch.recorded,
            At.COMPLETED: recovery.completed,
            At.COUNTED: recovery.counted,
            At.SPLIT_COMPLETE: recovery.split_complete,
            At.POPPED: recovery.popped,
            At.BURYING: recovery.burying,
            At.SPLIT_REQUEUE: recovery.split_requeue,
            At.CELL_RESET: recovery.cell_reset,
            At.FENCING: recovery.fencing,
            At.HEAD_RULE: recovery.head_rule,
            At.RECOVERING: recovery.recovering,
        }

    def explore(self) -> Report[State]:
        """Search every state."""
        return explore(
            self.initial(),
            self.successors,
            is_finished=self.is_finished,
            faults=FAULTS,
        )

    def initial(self) -> State:
        """Return the state in which nothing was pushed and all processes live."""
        worker = Worker(ALIVE, (), (EMPTY,) * self._setup.cells, ())
        return State(
            tail=0,
            head=0,
            producer=1,
            crashes=self._setup.crashes,
            doubles=self._setup.doubles,
            counter=IDLE,
            slots=(Slot(),) * self._setup.tasks,
            workers=(worker,) * self._setup.workers,
        )

    def is_finished(self, state: State) -> bool:
        """Return whether every accepted task has its one record and nothing is left."""
        return (
            state.counter == IDLE
            and state.head == state.tail
            and (state.tail == self._setup.tasks or not state.producer)
            and all(slot.state == GONE for slot in state.slots[: state.tail])
            and not any(worker.outbox for worker in state.workers)
        )

    def successors(self, state: State) -> Steps:
        """Yield every step that some process can take next, its death included."""
        yield from self._peers.producer(state)
        for number in range(len(state.workers)):
            for label, target in self._peers.worker(state, number):
                yield label, self._name(target)
        for label, target in self._supervisor(state):
            yield label, self._name(target)

    def _supervisor(self, state: State) -> Steps:
        if state.counter == DOWN:
            yield "supervisor restart", state._replace(counter=Counter(At.FENCING))
            return
        if state.crashes:
            crashes = state.crashes - 1
            yield "supervisor crash", state._replace(counter=DOWN, crashes=crashes)
        yield from self._places[state.counter.at](state)

    def _idle(self, state: State) -> Steps:
        yield from self._dispatch.admit(state)
        for task, slot in enumerate(state.slots):
            if slot.state == FINISHED:
                yield from self._dispatch.record(state, task)
            elif slot.state == READY:
                yield from self._dispatch.lease(state, task)
        for number, worker in enumerate(state.workers):
            yield from self._dispatch.revoke(state, number)
            if worker.outbox:
                counter = Counter(At.COUNTED, number)
                yield from self._recovery.complete(state._replace(counter=counter))
            if worker.life == DEAD:
                counter = Counter(At.BURYING, number, mode=Mode.BURIAL)
                yield "death seen", state._replace(counter=counter)


def _as_it_is(state: State) -> State:
    return state
