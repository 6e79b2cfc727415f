"""Handing: the value of earlier tasks, on its way into the arguments of a later one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from stem_actor.errors import PayloadError
from stem_actor.payload.wire import unpack
from stem_actor.ring.record import ARGS
from stem_actor.tasks.outcome import unpack_success, value_of_parts
from stem_actor.tasks.prescan import require_decodable

__all__ = ["open_handed", "pack_handed"]

#: What meta tells of it besides; the names are those that people of Stem look for.
_PREVIOUS: Final = "chainPrevResult"
_RESULTS: Final = "chordResults"

Parts = tuple[dict[str, object], dict[str, str], dict[str, object]]


def pack_handed(kind: int, body: bytes, into: str, payloads: object) -> bytes:
    """
    Return the body of a task that is handed a value.

    Args:
        kind: What *body* is: ``ring.record.ARGS`` or ``ARGS_HEADERS_META``.
        body: Its own arguments.
        into: The argument that the value becomes; ``""``: all of them.
        payloads: The results it is made of as they were stored, as bytes; a list
            of such, to any depth, makes a list.
    """
    return msgspec.msgpack.encode([kind, body, into, payloads])


def open_handed(packed: bytes) -> Parts:
    """
    Return the arguments, headers and meta of a body made by ``pack_handed``.

    Raises:
        PayloadError: If it is none, or a part of it cannot be read.
    """
    match unpack(packed):
        case [int() as kind, bytes() as body, str() as into, payloads]:
            args, headers, meta = _parts_of(kind, body)
            value = value_of_parts(payloads, _read)
        case _:
            raise PayloadError("the body is no handed one", path="args")
    if into:
        args = {**args, into: value}
    elif isinstance(value, dict):
        args = {**args, **value}  # its own are none but the mark of a version
    else:
        raise PayloadError(
            f"what it is handed, {value!r:.60}, is no map of its record's fields",
            path="args",
        )
    name = _RESULTS if isinstance(payloads, list) else _PREVIOUS
    return args, headers, {**meta, name: value}


def _read(payload: bytes) -> object:
    require_decodable(payload, len(payload), ARGS)
    return unpack_success(payload)[0]


def _parts_of(kind: int, body: bytes) -> Parts:
    require_decodable(body, len(body), kind)
    found: Any = unpack(body)
    if kind == ARGS and isinstance(found, Mapping):
        return dict(found), {}, {}
    match found:
        case [dict() as args, dict() as headers, dict() as meta]:
            return args, headers, meta
    raise PayloadError("the body is not arguments, headers and meta", path="args")
