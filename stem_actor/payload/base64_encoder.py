"""Base64PayloadEncoder: text and bytes as Base64."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Final

from stem_actor.payload.bounded import unpack_bounded
from stem_actor.payload.encoder import TaskPayloadEncoder
from stem_actor.payload.wire import pack_value

__all__ = ["Base64PayloadEncoder"]

_PACKED: Final = "__b64payload"
_AS_IT_IS: Final = (type(None), bool, int, float)


class Base64PayloadEncoder(TaskPayloadEncoder):
    """
    Makes Base64 of a text; of a list, a map or bytes the map ``{"__b64payload": …}``
    with the Base64 of its wire form. Numbers, booleans and None stay as they are.

    No protection: whoever sees it can read it.
    """

    def encode(self, value: object) -> object:
        if isinstance(value, str):
            return b64encode(value.encode()).decode()
        if isinstance(value, _AS_IT_IS):
            return value
        return {_PACKED: b64encode(pack_value(value)).decode()}

    def decode(self, stored: object) -> object:
        """
        As ``TaskPayloadEncoder.decode``.

        A map without the key is returned as it is: an encoder after Stem's own example
        leaves maps alone.
        """
        if isinstance(stored, str):
            return b64decode(stored, validate=True).decode()
        if isinstance(stored, dict) and stored.keys() == {_PACKED}:
            return unpack_bounded(b64decode(stored[_PACKED], validate=True))
        return stored
