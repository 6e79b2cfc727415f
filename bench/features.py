"""What a feature costs the task that uses it, beside one that uses none."""

from __future__ import annotations

import os
import secrets
from functools import partial

from bench import processes, workload
from bench.harness import Effort, Figure, figure_of, interleave, ratios
from bench.limits_cost import Cost, lives
from bench.stem_side import WORKERS, StemSide, add, app
from stem_actor import AesGcmEncoder, Task, TaskMetadata, TaskPayloadEncoder

BARE, AGAIN = "bare", "bare, again"


class _Nothing(TaskPayloadEncoder):
    """Changes nothing, but under an id of its own: what is left is our own part."""

    def encode(self, value: object) -> object:
        return value

    def decode(self, stored: object) -> object:
        return stored


_NOTHING = _Nothing()
_AES = AesGcmEncoder({"bench": secrets.token_bytes(32)})


@app.task(metadata=TaskMetadata(args_encoder=_NOTHING, result_encoder=_NOTHING))
def add_encoded(a: int) -> int:
    """Return *a* plus one, both by an encoder."""
    return workload.add(a)


@app.task(metadata=TaskMetadata(args_encoder=_AES, result_encoder=_AES))
def add_encrypted(a: int) -> int:
    """Return *a* plus one, both encrypted."""
    return workload.add(a)


@app.task(unique=True)
def add_unique(a: int) -> int:
    """Return *a* plus one; another key for each."""
    return workload.add(a)


#: Each does what `add` does, with one feature more.
FEATURES: dict[str, Task[[int], int]] = {
    "+ encoder": add_encoded,
    "+ encoder, AES-GCM": add_encrypted,
    "+ unique": add_unique,
}


def measure(effort: Effort) -> list[Figure]:
    """Return each feature beside the bare task, by turns in one tree."""
    count = effort.pick(60_000, 20_000)
    tasks = {BARE: add, **FEATURES, AGAIN: add}
    with app:
        processes.settled(os.getpid(), WORKERS)
        runs = interleave(
            {
                name: partial(lives, StemSide(task), count)
                for name, task in tasks.items()
            },
            effort,
        )
    figures = [
        figure_of(f"{name}, whole lives", "1/s", [run.per_s for run in found])
        for name, found in runs.items()
    ]
    for name in (*FEATURES, AGAIN):
        figures += _cost(name, runs[name], runs[BARE])
    return figures


def _cost(name: str, runs: list[Cost], bare: list[Cost]) -> list[Figure]:
    """Return a side as ratio to the bare one, and what it adds to each life."""
    note = "the control" if name == AGAIN else ""
    per_s = ratios([run.per_s for run in runs], [run.per_s for run in bare])
    more = [run.cpu_us - other.cpu_us for run, other in zip(runs, bare, strict=True)]
    return [
        figure_of(f"{name} / {BARE}, lives", "x", per_s, note=note),
        figure_of(f"{name} - {BARE}, CPU per life", "µs", more, note=note),
    ]
