"""The scan of a body before it is decoded: what decoding would cost."""

from __future__ import annotations

from typing import Any, Final

from stem_actor.errors import PayloadError
from stem_actor.payload.wire import MAX_DEPTH, MAX_NODES
from stem_actor.ring.native import Status, ffi, lib
from stem_actor.ring.record import ARGS_HEADERS_META

__all__ = ["require_decodable"]

_NODES: Final = ffi.new("uint32_t *") if ffi is not None else None


def require_decodable(body: Any, size: int, kind: int) -> None:
    """
    Refuse a body that would cost more to decode than one may.

    Args:
        body: Its bytes, in C or in Python.
        size: How many.
        kind: The kind of ``TaskHead``.

    Raises:
        PayloadError: If it is malformed, too deep, or of too many values.
    """
    nodes_max, depth_max = MAX_NODES, MAX_DEPTH
    if kind == ARGS_HEADERS_META:  # each of the three may be as large
        nodes_max, depth_max = 3 * MAX_NODES + 1, MAX_DEPTH + 1
    rc = lib.sa_prescan(body, size, nodes_max, depth_max, _NODES)
    if rc == Status.OK:
        return
    why = (
        f"more than {nodes_max:,} values or {depth_max} levels"
        if rc == Status.TOO_LARGE
        else "it is not one whole MessagePack value"
    )
    raise PayloadError(f"the body was refused: {why}", path="args")
