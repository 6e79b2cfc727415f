"""Handing: the value of earlier tasks, on its way into the arguments of a later one."""

from __future__ import annotations

from typing import Final

import msgspec

from stem_actor.errors import PayloadError
from stem_actor.payload.encoder_registry import TaskEncoders
from stem_actor.payload.wire import unpack
from stem_actor.ring.record import ARGS
from stem_actor.tasks.outcome import unpack_success
from stem_actor.tasks.parts import value_of_parts
from stem_actor.tasks.prescan import require_decodable
from stem_actor.tasks.reading import Parts, open_body

__all__ = ["open_handed", "pack_handed"]

#: What meta tells of it besides; the names are those that people of Stem look for.
_PREVIOUS: Final = "chainPrevResult"
_RESULTS: Final = "chordResults"


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


def open_handed(packed: bytes, encoders: TaskEncoders) -> Parts:
    """
    Return the arguments, headers and meta of a body made by ``pack_handed``.

    Args:
        packed: The body.
        encoders: What its arguments, and the value it is handed, are decoded by.

    Raises:
        PayloadError: If it is none, or a part of it cannot be read.
        EncoderNotRegistered: If there is no encoder for a part of it.
    """
    match unpack(packed):
        case [int() as kind, bytes() as body, str() as into, payloads]:
            args, headers, meta = _parts_of(kind, body, encoders)
            value = value_of_parts(payloads, lambda it: _read(it, encoders))
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


def _read(payload: bytes, encoders: TaskEncoders) -> object:
    require_decodable(payload, len(payload), ARGS)
    return unpack_success(payload, encoders.registry)[0]


def _parts_of(kind: int, body: bytes, encoders: TaskEncoders) -> Parts:
    require_decodable(body, len(body), kind)
    if kind != ARGS:
        return open_body(body, encoders)
    found = unpack(body)
    if isinstance(found, dict):
        return found, {}, {}
    raise PayloadError("the body is no map of arguments", path="args")
