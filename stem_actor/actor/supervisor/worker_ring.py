"""The ring file of one worker: made, found again, or replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stem_actor.ring.core import Core
from stem_actor.ring.directory import set_aside
from stem_actor.ring.native import Status, lib, raise_for
from stem_actor.ring.segment import Segment, create_segment, open_segment

__all__ = ["open_worker_ring"]

_SUBMIT_BYTES: Final = 1 << 17
_OUTBOX_BYTES: Final = 1 << 19


def open_worker_ring(path: Path, index: int, core: Core, *, cells: int) -> Segment:
    """
    Return the ring at *path*, with what an earlier worker left in it, or a new one.

    One whose head a worker has written over is put aside as ``.bad`` and counted: no
    offset in it can be believed, and its tasks are started again from their slots.

    Args:
        path: The file.
        index: Of the worker.
        core: Whose worker it is.
        cells: Of a new ring; one that is there keeps its own.

    Raises:
        RingError: If there is no room for it, or it cannot be opened.
    """
    if path.exists():
        ring = open_segment(path, writable=True)
        if lib.sa_ring_attach(ring.at, ring.size) != Status.CORRUPT:
            return ring
        ring.close()
        set_aside(path)
        core.stats_row.corrupt += 1
    size = lib.sa_ring_size(cells, _SUBMIT_BYTES, _OUTBOX_BYTES)
    ring = create_segment(path, size)
    rc = lib.sa_ring_init(
        ring.at, ring.size, index, cells, _SUBMIT_BYTES, _OUTBOX_BYTES, core.instance
    )
    raise_for(rc, f"formatting {path}")
    ring.publish()
    return ring
