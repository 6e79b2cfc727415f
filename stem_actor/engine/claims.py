"""Claims: the limits and the unique key of a task, as the supervisor compares them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from stem_actor.model.options import TaskOptions
from stem_actor.model.rate import RateLimit
from stem_actor.ring.record import GROUP_CLAIM, RATE_CLAIM, UNIQUE_CLAIM, Claim

__all__ = ["CLAIM_BYTES", "NO_GROUP", "UniqueKey", "group_of", "limit_claims"]

CLAIM_BYTES: Final = 32
"""What one claim takes in a record."""

NO_GROUP: Final = "global"
"""The group of tasks that say none."""

_KEY_BYTES: Final = 16
#: Of two enqueues of one thing these may differ: they say where it came from.
_TRANSPORT: Final = frozenset({"traceparent", "tracestate", "baggage"})
_OWN: Final = "stem."
_MARK: Final = "stem-"  # of a header that is ours: which encoder made the arguments
#: Meta by which a caller names the key itself; the first wins.
_NAMED: Final = ("stem.unique.override", "uniqueKey")

# Sorted, so that the order in which arguments are written changes no key; and not
# JSON, which has no bytes, and one ``null`` for None and for NaN.
_encode: Final = msgspec.msgpack.Encoder(order="sorted").encode


def limit_claims(name: str, options: TaskOptions, group: str) -> bytes:
    """
    Return the packed claims of a task's rate limits; empty: it has none.

    A limit is one with all others of its name and its rate, whoever publishes them.

    Args:
        name: The task's name.
        options: The merged options.
        group: The group it belongs to, see ``group_of``.
    """
    packed = b""
    if options.group_rate is not None:
        is_closed = options.group_rate_limiter_failure_mode == "fail_closed"
        packed += _limit(GROUP_CLAIM, group, options.group_rate, is_closed=is_closed)
    if options.rate is not None:
        packed += _limit(RATE_CLAIM, name, options.rate)
    return packed


def group_of(options: TaskOptions, headers: Mapping[str, str] | None) -> str:
    """Return the group whose limit a task with these *headers* shares."""
    if options.group_rate_key is not None:
        return options.group_rate_key
    return (headers or {}).get(options.group_rate_key_header) or NO_GROUP


class UniqueKey:
    """
    Makes the unique claims of one task.

    The key is a hash of the task's name, its queue, its arguments, its headers without
    those of tracing, and its meta without what is ours. It is made of the values, not
    of what an encoder makes of them. ``meta["uniqueKey"]``, a text, is used in place
    of all that.

    Args:
        name: The task's name.
        queue: Its queue.
        for_ns: How long the key is held at most; 0: until the task has ended.
    """

    def __init__(self, name: str, queue: str, for_ns: int) -> None:
        self._name, self._queue = name, queue
        bare = Claim(kind=UNIQUE_CLAIM, key=bytes(_KEY_BYTES), span_ns=for_ns)
        self._front = bare.pack()[:-_KEY_BYTES]

    def claim(
        self,
        args: Mapping[str, object],
        headers: Mapping[str, str],
        meta: Mapping[str, object],
    ) -> bytes:
        """Return the packed claim of one enqueue, whose values all have a wire form."""
        parts: list[object] = [self._name, self._queue, args, headers, meta]
        if headers:
            parts[3] = {it: headers[it] for it in headers if not _is_transport(it)}
        if meta:
            parts[4] = {it: meta[it] for it in meta if it[:5] != _OWN}
            parts = next(([meta[it]] for it in _NAMED if _is_key(meta.get(it))), parts)
        return (
            self._front
            + hashlib.blake2b(_encode(parts), digest_size=_KEY_BYTES).digest()
        )


def _is_transport(header: str) -> bool:
    return header in _TRANSPORT or header.startswith(_MARK)


def _is_key(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _limit(kind: int, name: str, limit: RateLimit, *, is_closed: bool = False) -> bytes:
    same = _encode([kind, name, limit.tokens, limit.interval_ns])
    key = hashlib.blake2b(same, digest_size=_KEY_BYTES).digest()
    claim = Claim(
        kind=kind,
        key=key,
        tokens=limit.tokens,
        span_ns=limit.interval_ns,
        is_closed=is_closed,
    )
    return claim.pack()
