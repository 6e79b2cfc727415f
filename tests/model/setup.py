"""What to model: the size, and which ordering rule to break."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Mutant(StrEnum):
    """One ordering rule broken; each must be caught."""

    CELL_FIRST = "cellfirst"  # burial resets the cell before the slot word
    NO_SOURCE = "nosrc"  # recovery does not raise head to the highest src_end
    NO_FENCE = "nofence"  # recovery does not kill the old workers
    NO_DRAIN = "nodrain"  # burial does not read what the dead worker published
    REVOKE_ORDER = "rvorder"  # revoke by slot word and blind store, not by CAS
    HEAD_BEFORE_WORD = "head_before_word"  # A4 before A3
    FINISH_AFTER_HEAD = "finish_after_head"  # C5 before C3
    SPLIT_COMMIT = "split_commit"  # starts and slot word are two stores
    NO_STARTS_FENCE = "no_starts_fence"  # C2 does not compare the start number


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """
    The size of a model.

    Attributes:
        workers: Worker processes, from 1.
        tasks: Tasks the producer pushes, from 1 to 4.
        crashes: Kills of any process, in any mixture.
        batch: Most records per head store and per out_head store.
        cells: Grant cells per worker.
        lanes: Tasks that one worker runs at once, at most *cells*.
        doubles: Outcomes that a faulty worker publishes twice.
        mutant: The rule to break, if any.
        symmetry: Whether states that differ in worker numbers alone are one.
    """

    workers: int = 1
    tasks: int = 2
    crashes: int = 2
    batch: int = 1
    cells: int = 1
    lanes: int = 1
    doubles: int = 0
    mutant: Mutant | None = None
    symmetry: bool = True


#: What the tests explore.
FULL = Setup(workers=3, tasks=2, crashes=2, batch=2, cells=2, lanes=2, doubles=1)

#: What ``make model`` does: in each another number is larger.
LARGER = (
    replace(FULL, crashes=3),
    replace(FULL, tasks=3, doubles=0),
    replace(FULL, workers=4, batch=3),
)
