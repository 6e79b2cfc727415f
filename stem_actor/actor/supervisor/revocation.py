"""Revocation: what a slot keeps of a revoke while the start that it meant ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stem_actor.errors import PayloadError
from stem_actor.model.verdict import VERDICT
from stem_actor.payload.wire import unpack

__all__ = ["Revocation", "revocation_in"]

_REVOKED: Final = "revoked"
_DETAIL_MAX: Final = 500


class Revocation(NamedTuple):
    """
    Attributes:
        reason: The words of who has revoked the task.
        detail: What the handler raised instead of stopping; None: it stopped.
        facts: Its worker's verdict on the start, in the wire form; None: it gave none.
    """

    reason: str
    detail: str | None = None
    facts: Mapping[str, Any] | None = None


def revocation_in(kept: bytes) -> Revocation:
    """
    Return what *kept* holds, the bytes in the place of the slot's last error.

    That is the reason, as a cancellation; behind it, once the start has ended by
    itself, its report; or the report alone, of a start that nobody had revoked. What
    cannot be read is left out: a worker may say anything.
    """
    try:
        value = unpack(kept) if kept else None
    except PayloadError:
        value = None
    reason, report = (
        value if isinstance(value, list) and len(value) == 2 else (value,) * 2
    )
    words = _map(reason).get("reason")
    found = _map(report)
    meta = _map(found.get("meta"))  # of an error
    facts = found.get(VERDICT) or meta.get(VERDICT) or found
    return Revocation(
        words if isinstance(words, str) else _REVOKED,
        _detail_of(found),
        facts if isinstance(facts, dict) and "pid" in facts else None,
    )


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _detail_of(report: Mapping[str, Any]) -> str | None:
    if "type" not in report:
        return None
    return f"{report['type']}: {report.get('message', '')}"[:_DETAIL_MAX]
