"""The model's memory: slot words, workers, program counters, and their symmetry."""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from .explore import ViolationError

# Slot states. GONE is a slot freed after its result was recorded: its source index
# no longer counts for the head rule, exactly as in a reused slot.
FREE, READY, LEASED, FINISHED, GONE = range(5)

# Grant cells and outbox records are small ints: fence << 4 | task << 2 | kind.
EMPTY, OFFERED, TAKEN = range(3)
SUCCESS, RETRY = range(2)

# A worker process. UNFENCED exists only in the mutant without a fence: it still
# runs, although the supervisor treats its memory as that of a dead one.
DEAD, ALIVE, UNFENCED = range(3)

NOBODY = -1


def pack(task: int, fence: int, kind: int) -> int:
    """Return a cell or record word of *kind* for start number *fence* of *task*."""
    return fence << 4 | task << 2 | kind


def unpack(word: int) -> tuple[int, int, int]:
    """Return ``(task, fence, kind)`` of a cell or record word."""
    return word >> 2 & 3, word >> 4, word & 3


class Slot(NamedTuple):
    """One task: what the slot holds, then ghosts that only the checker can see."""

    state: int = FREE
    owner: int = NOBODY
    attempt: int = 0
    starts: int = 0
    begun: int = 0  # ghost: handler starts that really happened
    retried: int = 0  # ghost: RETRY outcomes really published
    succeeded: int = 0  # ghost: whether a success was really published
    recorded: int = 0  # result backend: start number of the success record, or 0


class Worker(NamedTuple):
    """One worker: liveness, private memory, and its part of the shared memory."""

    life: int
    running: tuple[int, ...]  # private: TAKEN words whose handler runs
    cells: tuple[int, ...]  # sorted, because a worker scans all its cells
    outbox: tuple[int, ...]  # records between out_head and out_tail


class At(IntEnum):
    """Where the supervisor is; each place is between two shared stores."""

    DOWN = 0
    IDLE = 1
    ADMITTING = 2  # `done` words stored, head not yet
    HEADED = 3  # mutant: head stored, words from `task` on not yet
    OFFERING = 4  # slot LEASED, cell not yet
    REVOKED = 5  # cell EMPTY, slot not yet READY
    REVOKING = 6  # mutant: slot READY, cell not yet
    COMPLETED = 7  # slot word stored, cell not yet reset
    COUNTED = 8  # `done` records handled, out_head not yet
    SPLIT_COMPLETE = 9  # mutant: starts stored, slot word not yet
    POPPED = 10  # mutant: out_head stored, slot word not yet
    RECORDED = 11  # backend written, slot not yet freed
    BURYING = 12  # a dead worker's memory is being classified
    SPLIT_REQUEUE = 13  # mutant: starts stored, slot word not yet
    CELL_RESET = 14  # mutant: cell EMPTY, slot word not yet
    FENCING = 15  # recovery: old workers not yet killed
    HEAD_RULE = 16  # recovery: head not yet corrected
    RECOVERING = 17  # recovery: dead workers left to bury


class Mode(IntEnum):
    """Why the supervisor reads an outbox, hence where it goes afterwards."""

    SERVING = 0
    BURIAL = 1  # of a worker that died while the supervisor lived
    RECOVERY = 2  # of a worker of the supervisor before


class Counter(NamedTuple):
    """The supervisor's program counter with its private memory; lost in a crash."""

    at: At
    worker: int = NOBODY
    task: int = 0
    done: int = 0
    mode: Mode = Mode.SERVING
    record: int = 0


IDLE = Counter(At.IDLE)
DOWN = Counter(At.DOWN)


class State(NamedTuple):
    """One state of the whole system."""

    tail: int
    head: int
    producer: int
    crashes: int
    doubles: int
    counter: Counter
    slots: tuple[Slot, ...]
    workers: tuple[Worker, ...]


Steps = Iterator[tuple[str, State]]


def with_slot(slots: tuple[Slot, ...], task: int, slot: Slot) -> tuple[Slot, ...]:
    """Return *slots* with number *task* replaced."""
    return (*slots[:task], slot, *slots[task + 1 :])


def with_worker(
    workers: tuple[Worker, ...], number: int, worker: Worker
) -> tuple[Worker, ...]:
    """Return *workers* with *number* replaced."""
    return (*workers[:number], worker, *workers[number + 1 :])


def with_cell(worker: Worker, old: int, new: int) -> Worker:
    """Return *worker* with one cell that holds *old* changed to *new*."""
    cells = list(worker.cells)
    cells[cells.index(old)] = new
    cells.sort()
    return worker._replace(cells=tuple(cells))


def store_word(
    state: State,
    task: int,
    word: int,
    *,
    owner: int = NOBODY,
    attempt: int | None = None,
    starts: int | None = None,
    then: Counter,
) -> State:
    """
    Return *state* after the one store that changes a slot's state and numbers.

    The numbers lie twice in the slot and a bit of the word selects the valid copy,
    so that state, attempt and starts change together.

    Raises:
        ViolationError: If the numbers do not match what really happened.
    """
    slot = state.slots[task]
    attempt = slot.attempt if attempt is None else attempt
    starts = slot.starts if starts is None else starts
    if starts != slot.begun:
        kind = "over-count" if starts > slot.begun else "under-count"
        raise ViolationError(
            f"{kind}: task {task} has {starts} starts, really {slot.begun}"
        )
    if attempt != slot.retried:
        raise ViolationError(
            f"task {task} has attempt {attempt}, really {slot.retried}"
        )
    if slot.succeeded and word != FINISHED:
        raise ViolationError(f"task {task} has succeeded, yet would run again")
    stored = Slot(word, owner, attempt, starts, *slot[4:])
    return state._replace(counter=then, slots=with_slot(state.slots, task, stored))


def canonical(state: State) -> State:
    """
    Return the representative of *state* under renaming of workers.

    Workers are interchangeable: nothing in the protocol compares their numbers. The
    sort key holds every reference to a worker, so equal keys are truly equal.
    """
    workers, counter, slots = state.workers, state.counter, state.slots
    if len(workers) == 1:
        return state
    leased = [0] * len(workers)
    for task, slot in enumerate(slots):
        if slot.owner >= 0:
            leased[slot.owner] |= 1 << task
    if counter.worker >= 0:
        leased[counter.worker] |= 1 << len(slots)
    keys = [
        (worker, mask, number)
        for number, (worker, mask) in enumerate(zip(workers, leased, strict=True))
    ]
    ordered = sorted(keys)
    if ordered == keys:
        return state
    names = [0] * len(workers)
    for new, (_, _, old) in enumerate(ordered):
        names[old] = new
    if counter.worker >= 0:
        counter = counter._replace(worker=names[counter.worker])
    return State(
        state.tail,
        state.head,
        state.producer,
        state.crashes,
        state.doubles,
        counter,
        tuple(
            slot if slot.owner < 0 else slot._replace(owner=names[slot.owner])
            for slot in slots
        ),
        tuple([key[0] for key in ordered]),
    )
