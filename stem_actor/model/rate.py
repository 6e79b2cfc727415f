"""RateLimit: how many starts fit into any window of a given length."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_TOKENS", "RateLimit", "parse_rate", "rate_text"]

MAX_TOKENS: Final = 4096
"""Each token costs one grant time in the arena, so their number is bounded."""

_GRAMMAR: Final = re.compile(r"([0-9]{1,9})/([smh])")
_UNIT_NS: Final = {
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most *tokens* starts in any window of *interval_ns* nanoseconds."""

    tokens: int
    interval_ns: int


def parse_rate(text: str, name: str = "rate_limit") -> RateLimit:
    """
    Return the limit that *text* means: ``<int>/<s|m|h>``, for example ``"5/s"``.

    Raises:
        ValueError: If *text* is not of that form, or its number is not in
            1..4096.
    """
    given: object = text  # the options of a task are checked before they are typed
    match = _GRAMMAR.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise ValueError(
            f'{name} must be "<int>/s", "<int>/m" or "<int>/h", not {text!r}'
        )
    tokens = int(match[1])
    if not 1 <= tokens <= MAX_TOKENS:
        raise ValueError(f"{name} must allow 1 to {MAX_TOKENS} starts, not {tokens}")
    return RateLimit(tokens=tokens, interval_ns=_UNIT_NS[match[2]])


def rate_text(tokens: int, interval_ns: int) -> str:
    """Return a limit as it is written: ``5/s``, or in seconds if it has no unit."""
    for unit, unit_ns in _UNIT_NS.items():
        if interval_ns == unit_ns:
            return f"{tokens}/{unit}"
    return f"{tokens} in {interval_ns / 1e9:g} s"
