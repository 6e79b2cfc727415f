"""Reading what an encoder has unpacked, if it is not more than reading may cost."""

from __future__ import annotations

from typing import Final

from stem_actor.errors import PayloadError
from stem_actor.payload.wire import MAX_NODES, unpack

__all__ = ["unpack_bounded"]


def unpack_bounded(data: bytes) -> object:
    """
    Return the value that *data* holds, as ``wire.unpack`` does.

    The worker looks at a body before it decodes it, but sees only one value where
    bytes are compressed or encrypted. So those who make many values of them count.

    Raises:
        PayloadError: If *data* is not one whole MessagePack value, or of too many.
    """
    if len(data) > MAX_NODES:  # each takes a byte at least
        _require_few(data)
    return unpack(data)


def _require_few(data: bytes) -> None:
    """Refuse more than ``MAX_NODES`` values, without making them."""
    at, left, count = 0, 1, 0
    while left and at < len(data):
        count += 1
        if count > MAX_NODES:
            raise PayloadError(
                f"the payload has more than {MAX_NODES:,} values in it",
                path="payload",
            )
        left -= 1
        first = data[at]
        if first >= 0xE0 or first < 0x80:  # a small int
            at += 1
        elif first < 0x90:  # a small map
            at, left = at + 1, left + 2 * (first & 15)
        elif first < 0xA0:  # a small array
            at, left = at + 1, left + (first & 15)
        elif first < 0xC0:  # a short text
            at += 1 + (first & 31)
        else:
            width, unit, values = _FORMS[first]
            size = int.from_bytes(data[at + 1 : at + 1 + width])
            at, left = at + 1 + width + unit * size, left + values * size


#: By first byte: how long the length behind it is, the bytes and the values of a unit.
#: What has a fixed size is given as that many bytes of length and no unit.
_FORMS: Final = {
    **dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC3), (0, 0, 0)),
    **{first: (1 << n, 1, 0) for n, first in enumerate((0xC4, 0xC5, 0xC6))},
    # An extension has one byte more, which reading refuses anyway.
    **{first: (1 << n, 1, 0) for n, first in enumerate((0xC7, 0xC8, 0xC9))},
    0xCA: (4, 0, 0),
    0xCB: (8, 0, 0),
    **{first: (1 << n, 0, 0) for n, first in enumerate((0xCC, 0xCD, 0xCE, 0xCF))},
    **{first: (1 << n, 0, 0) for n, first in enumerate((0xD0, 0xD1, 0xD2, 0xD3))},
    **{first: (1 << n, 0, 0) for n, first in enumerate((0xD4, 0xD5, 0xD6, 0xD7, 0xD8))},
    **{first: (1 << n, 1, 0) for n, first in enumerate((0xD9, 0xDA, 0xDB))},
    0xDC: (2, 0, 1),
    0xDD: (4, 0, 1),
    0xDE: (2, 0, 2),
    0xDF: (4, 0, 2),
}
