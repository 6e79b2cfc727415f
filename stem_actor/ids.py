"""
Task ids: 16 bytes in UUIDv7 layout, shown as canonical UUID text.

The C core mints the ids of the hot path in batches; ``new_id`` is for everything
that mints one at a time.
"""

from __future__ import annotations

import os
import re
from typing import Final

from stem_actor.clock import Clock, SystemClock

__all__ = ["ID_BYTES", "format_id", "new_id", "parse_id"]

ID_BYTES: Final = 16

_SYSTEM_CLOCK: Final = SystemClock()
_NS_PER_MS: Final = 1_000_000
_CANONICAL: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)


def new_id(clock: Clock = _SYSTEM_CLOCK) -> bytes:
    """
    Return a fresh id: 48 bits of wall time in milliseconds, then 74 random bits.

    The first bytes grow with time, so ids sort by their age to the millisecond.
    """
    raw = bytearray(16)
    raw[:6] = (clock.wall_ns() // _NS_PER_MS & (1 << 48) - 1).to_bytes(6, "big")
    raw[6:] = os.urandom(10)
    raw[6] = 0x70 | raw[6] & 0x0F  # version 7
    raw[8] = 0x80 | raw[8] & 0x3F  # RFC 9562 variant
    return bytes(raw)


def format_id(raw: bytes) -> str:
    """
    Return the canonical text of *raw*: 36 characters, lower case.

    Raises:
        ValueError: If *raw* is not 16 bytes long.
    """
    if len(raw) != ID_BYTES:
        raise ValueError(f"a task id has {ID_BYTES} bytes, not {len(raw)}")
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> bytes:
    """
    Return the 16 bytes of *text*, a UUID of any version in its canonical form.

    Raises:
        ValueError: If *text* is anything else; the message says what is wrong.
    """
    if len(text) != 36:
        raise ValueError(
            f"not a task id: {text[:64]!r} has {len(text)} characters, a UUID has 36"
        )
    if _CANONICAL.fullmatch(text) is None:
        raise ValueError(
            f"not a task id: {text!r} is not 8-4-4-4-12 hexadecimal digits"
        )
    return bytes.fromhex(text.replace("-", ""))
