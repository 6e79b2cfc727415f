"""The wire forms of what a start reports: result, error, cancellation, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stem_actor.errors import PayloadError, PayloadTooLarge
from stem_actor.model.error import TaskError
from stem_actor.model.metadata import PayloadEncoder
from stem_actor.model.progress import ProgressSignal
from stem_actor.model.verdict import VERDICT, Verdict
from stem_actor.payload.encoder import encode_packed
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.lowering import lower
from stem_actor.payload.wire import pack_value, unpack
from stem_actor.ring.producer import Kind
from stem_actor.tasks.encoded import (
    ENCODED,
    decode_data,
    decode_error,
    decode_result,
    pack_encoded_error,
    pack_encoded_result,
    pack_mark,
)
from stem_actor.tasks.exceptions import ExceptionCatalog
from stem_actor.tasks.parts import PARTS, value_of_parts

__all__ = [
    "EXPIRED",
    "KEPT_MAX",
    "NOTHING",
    "PROGRESS_MAX",
    "OutcomeReader",
    "ProgressSignal",
    "add_verdict",
    "kept_meta",
    "pack_cancellation",
    "pack_encoded_success",
    "pack_failure",
    "pack_progress",
    "pack_success",
    "read_failure",
    "unpack_cancellation",
    "unpack_failure",
    "unpack_progress",
    "unpack_success",
    "verdict_of",
]

EXPIRED: Final = "expired"
"""The reason of a task that was not started in time."""

NOTHING: Final = pack_value(None)
"""The payload of a task that returned None, or whose result is not wanted."""

PROGRESS_MAX: Final = 4096
"""The bytes of a progress report; the supervisor forwards no more."""

KEPT_MAX: Final = 16 * 1024
"""
The bytes of ``context.meta`` that are kept with an error: a report of it always fits
one record of the ring.
"""

_KEPT: Final = "keptMeta"  # beside the fields of the error
_RESULT: Final = "__stemResult"
_META: Final = "__stemMeta"
_WRAPPERS: Final = frozenset({_RESULT, PARTS})
_VERDICT: Final = "__stemVerdict"


@dataclass(frozen=True, slots=True)
class OutcomeReader:
    """
    How the outcomes of one task are read.

    Attributes:
        decode: Returns the value of a stored result; None: it is plain.
        exceptions: What may be rebuilt from an error.
        encoders: What decodes an encoded one; None: it is left as it is.
    """

    decode: Callable[[Any], Any] | None
    exceptions: ExceptionCatalog
    encoders: TaskPayloadEncoderRegistry | None = None

    def value(self, payload: bytes) -> tuple[Any, object, Mapping[str, object]]:
        """
        Return the result as the handler returned it, as plain values, and its meta.

        Raises:
            PayloadError: If *payload* cannot be read, or does not fit.
            EncoderNotRegistered: If nothing here decodes it.
        """
        raw, meta = unpack_success(payload, self.encoders)
        return raw if self.decode is None else self.decode(raw), raw, meta


def pack_success(
    value: object, *, returns: Any = None, meta: Mapping[str, object] | None = None
) -> bytes:
    """
    Return the payload of a task that returned *value*.

    Args:
        value: What the handler returned.
        returns: The annotation of a result that is to be lowered; None: it is plain.
        meta: What the handler stored in ``context.meta``.

    Raises:
        PayloadError: If a part has no wire form; ``path`` names it.
    """
    if returns is not None:
        value = lower(value, path="result")
    # A result that looks like the wrapper is wrapped, or reading would open it.
    if meta or (type(value) is dict and not _WRAPPERS.isdisjoint(value)):
        packed_meta = pack_value(dict(meta or {}), path="meta")  # names its own path
        return b"".join(
            (_HEAD, pack_value(value, path="result"), _META_KEY, packed_meta)
        )
    return pack_value(value, path="result")


def pack_encoded_success(
    encoder: PayloadEncoder,
    value: object,
    *,
    returns: Any = None,
    meta: Mapping[str, object] | None = None,
) -> bytes:
    """
    As ``pack_success``, result and meta encoded.

    Raises:
        PayloadError: If a part has no wire form, or the encoder fails.
    """
    if returns is not None:
        value = lower(value, path="result")
    result, mark = pack_encoded_result(encoder, value, meta)
    return b"".join((_HEAD, result, mark))


def unpack_success(
    payload: bytes, encoders: TaskPayloadEncoderRegistry | None = None
) -> tuple[object, Mapping[str, object]]:
    """
    Return the result, as plain values, and the meta of a SUCCEEDED payload.

    Args:
        payload: Its bytes.
        encoders: What decodes an encoded one; None: it is left as it is.

    Raises:
        PayloadError: If *payload* cannot be read.
        EncoderNotRegistered: If *encoders* do not know its encoder.
    """
    stored = unpack(payload) if payload else None
    # A user's map with that key has been wrapped itself.
    if isinstance(stored, dict):
        if _RESULT in stored:
            if ENCODED in stored:
                return decode_result(stored[_RESULT], stored[ENCODED], encoders)
            return stored[_RESULT], stored.get(_META, {})
        if PARTS in stored:
            parts = stored[PARTS]
            return value_of_parts(parts, lambda it: unpack_success(it, encoders)[0]), {}
    return stored, {}


def add_verdict(payload: bytes, verdict: Mapping[str, object]) -> bytes:
    """Return the payload of a result with a *verdict* (wire form) beside it."""
    packed = _VERDICT_KEY + pack_value(dict(verdict), path="verdict")
    if payload.startswith(_HEAD):
        return b"\x83" + payload[1:] + packed
    return _HEAD + payload + packed


def verdict_of(kind: int, payload: bytes) -> Verdict | None:
    """
    Return how the start ended whose ending, of *kind*, has *payload*.

    A result without one was returned within 10 ms.

    Raises:
        PayloadError: If *payload* cannot be read.
    """
    if kind == Kind.SUCCEEDED and not payload.startswith((_HEAD, _HEAD_3)):
        return Verdict(reason="returned")
    wire = unpack(payload) if payload else None
    if not isinstance(wire, dict):
        return None
    if kind == Kind.SUCCEEDED:
        found = wire.get(_VERDICT)
        return Verdict(reason="returned") if found is None else _verdict(found)
    if kind == Kind.CANCELLED:
        return _verdict(wire[VERDICT]) if VERDICT in wire else None
    return unpack_failure(payload).verdict


def pack_failure(
    error: TaskError,
    *,
    meta: Mapping[str, object] | None = None,
    encoder: PayloadEncoder | None = None,
) -> bytes:
    """
    Return the payload of a FAILED or RETRY report.

    Args:
        error: What ended the start.
        meta: What the handler stored in ``context.meta``.
        encoder: Encodes message, stack and *meta*; None: they stay plain. Where it
            fails without *meta*, the error is packed without them.

    Raises:
        PayloadError: If a part has no wire form; ``path`` names it.
        PayloadTooLarge: If *meta* takes more than 16 KiB.
    """
    if not meta:
        if encoder is not None:
            return pack_encoded_error(encoder, error, None)
        return pack_value(error.to_wire(), path="error")
    size = len(pack_value(dict(meta), path="meta"))  # names its own path
    if size > KEPT_MAX:
        raise PayloadTooLarge(
            size,
            KEPT_MAX,
            path="meta",
            hint="store less in context.meta before the handler raises",
        )
    if encoder is not None:
        return pack_encoded_error(encoder, error, meta)
    return pack_value({**error.to_wire(), _KEPT: dict(meta)}, path="error")


def unpack_failure(payload: bytes) -> TaskError:
    """
    Return the error of a FAILED or RETRY payload; of an encoded one, what is clear.

    Raises:
        PayloadError: If *payload* holds none.
    """
    return _error(_error_wire(payload))


def read_failure(
    payload: bytes, encoders: TaskPayloadEncoderRegistry | None
) -> tuple[TaskError, Mapping[str, object]]:
    """
    Return the error of a FAILED or RETRY payload, and what ``kept_meta`` does.

    Args:
        payload: Its bytes.
        encoders: What decodes an encoded one; None: it is left as it is.

    Raises:
        PayloadError: If *payload* holds none, or cannot be decoded.
        EncoderNotRegistered: If *encoders* do not know its encoder.
    """
    wire = _error_wire(payload)
    error, kept = _error(wire), wire.get(_KEPT)
    if encoders is not None and ENCODED in wire:
        return decode_error(error, wire[ENCODED], encoders)
    return error, kept if isinstance(kept, dict) else {}


def kept_meta(payload: bytes) -> Mapping[str, object]:
    """
    Return what the handler had stored in ``context.meta`` before a FAILED or RETRY
    payload was made.

    Raises:
        PayloadError: If *payload* cannot be read.
    """
    wire = unpack(payload)
    kept = wire.get(_KEPT) if isinstance(wire, dict) else None
    return kept if isinstance(kept, dict) else {}


def pack_cancellation(
    reason: str,
    detail: str | None = None,
    verdict: Mapping[str, object] | None = None,
) -> bytes:
    """Return the payload of a CANCELLED report; *verdict*: of a start it ended."""
    facts: dict[str, object] = {"reason": reason}
    if detail is not None:
        facts["detail"] = detail
    if verdict is not None:
        facts[VERDICT] = dict(verdict)
    return pack_value(facts, path="cancellation")


def unpack_cancellation(payload: bytes) -> tuple[str, str | None]:
    """
    Return reason and detail of a CANCELLED payload; an empty one means expired.

    Raises:
        PayloadError: If *payload* holds no reason.
    """
    if not payload:
        return EXPIRED, None
    match unpack(payload):
        case {"reason": str(reason), "detail": str(detail)}:
            return reason, detail
        case {"reason": str(reason)}:
            return reason, None
    raise PayloadError("the payload holds no reason", path="payload")


def pack_progress(
    percent: float, data: object = None, encoder: PayloadEncoder | None = None
) -> bytes:
    """
    Return the payload of a PROGRESS report; *encoder* encodes the data, if any.

    Raises:
        PayloadError: If *data* or a part of it has no wire form.
        PayloadTooLarge: If both take more than 4,096 bytes.
    """
    parts = [b"\x92", pack_value(percent, path="percent")]
    if encoder is None or data is None:
        parts.append(pack_value(data, path="data"))
    else:
        data_packed = encode_packed(encoder, data, path="data")
        parts = [b"\x93", *parts[1:], data_packed, pack_mark(encoder)]
    packed = b"".join(parts)
    if len(packed) > PROGRESS_MAX:
        raise PayloadTooLarge(
            len(packed),
            PROGRESS_MAX,
            path="progress",
            hint="say how far it is, and keep the data itself for the result",
        )
    return packed


def unpack_progress(
    payload: bytes, encoders: TaskPayloadEncoderRegistry | None = None
) -> ProgressSignal:
    """
    Return what a PROGRESS payload says.

    Args:
        payload: Its bytes.
        encoders: What decodes encoded data; None: they are left as they are.

    Raises:
        PayloadError: If *payload* holds no progress, or cannot be decoded.
        EncoderNotRegistered: If *encoders* do not know its encoder.
    """
    match unpack(payload):
        case [int() | float() as percent, data]:
            return ProgressSignal(percent, data)
        case [int() | float() as percent, data, mark]:
            return ProgressSignal(percent, decode_data(data, mark, encoders))
    raise PayloadError("the payload holds no progress", path="payload")


# Written part by part, so that each part names its own path when it cannot be packed.
_HEAD: Final = b"\x82" + pack_value(_RESULT)
_HEAD_3: Final = b"\x83" + _HEAD[1:]
_META_KEY: Final = pack_value(_META)
_VERDICT_KEY: Final = pack_value(_VERDICT)


def _error_wire(payload: bytes) -> dict[str, object]:
    wire = unpack(payload)
    if not isinstance(wire, dict):
        raise PayloadError("the payload holds no error", path="payload")
    return wire


def _error(wire: Mapping[str, object]) -> TaskError:
    try:
        return TaskError.from_wire(wire)
    except ValueError as error:
        raise PayloadError(str(error), path="payload") from error


def _verdict(wire: object) -> Verdict:
    if not isinstance(wire, dict):
        raise PayloadError("the payload holds no verdict", path="verdict")
    try:
        return Verdict.from_wire(wire)
    except ValueError as error:
        raise PayloadError(str(error), path="verdict") from error
