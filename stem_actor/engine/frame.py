"""Frame: a submission, all of it but its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stem_actor.ring.record import add_claim
from stem_actor.tasks.ports import ResultSource, Submitter

__all__ = ["THREE", "Frame"]

Args = dict[str, object]

THREE: Final = b"\x93"
"""A MessagePack array of three: arguments, headers, meta."""


@dataclass(frozen=True, slots=True)
class Frame:
    """All of a submission but its arguments."""

    head: bytes  # without a unique claim, so that any record may begin with it
    pack: Callable[[Args], bytes]
    tail: bytes  # packed headers and meta; empty: the body is arguments alone
    submitter: Submitter
    source: ResultSource
    timeout_ns: int
    claim: Callable[[Args], bytes] | None = None  # of a unique task

    def head_of(self, args: Args) -> bytes:
        """Return the head of one enqueue; that of a unique task has its key."""
        return (
            self.head if self.claim is None else add_claim(self.head, self.claim(args))
        )

    def body(self, args: Args) -> bytes:
        packed = self.pack(args)
        return THREE + packed + self.tail if self.tail else packed
