"""Parts: results as they were stored, of which the value of a whole is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from stem_actor.errors import PayloadError
from stem_actor.payload.wire import MAX_DEPTH, unpack

__all__ = ["PARTS", "pack_parts", "unpack_parts", "value_of_parts"]

PARTS: Final = "__stemParts"
"""Key of the map that holds them."""


def pack_parts(payloads: object) -> bytes:
    """
    Return the payload of a whole whose value is made of *payloads*: the results of
    its parts as they were stored, or a list of such, to any depth.
    """
    return msgspec.msgpack.encode({PARTS: payloads})


def unpack_parts(payload: bytes) -> object:
    """
    Return what ``pack_parts`` was given.

    Raises:
        PayloadError: If *payload* is none of its making.
    """
    stored = unpack(payload)
    if not isinstance(stored, dict) or PARTS not in stored:
        raise PayloadError("the payload holds no parts", path="payload")
    return stored[PARTS]


def value_of_parts(
    payloads: object, read: Callable[[bytes], object], depth: int = MAX_DEPTH
) -> object:
    """
    Return the value that is made of *payloads*, each read by *read*.

    Raises:
        PayloadError: If one of them is no payload, or they are nested too deeply.
    """
    if isinstance(payloads, bytes):
        return read(payloads)
    if isinstance(payloads, list) and depth:
        return [value_of_parts(part, read, depth - 1) for part in payloads]
    raise PayloadError("a part of it is no result", path="payload")
