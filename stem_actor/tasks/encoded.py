"""
Encoded outcomes: the parts of results, errors and progress that an encoder hides.

Clear stay the type of an error and its base classes, the verdict and the numbers: by
them the supervisor decides. A map that is encoded bears the encoder's id as a mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from stem_actor.errors import PayloadError, PayloadTooLarge
from stem_actor.model.error import TaskError
from stem_actor.model.metadata import PayloadEncoder
from stem_actor.payload.encoder import RESULT_ENCODER_META, decode, encode_packed
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.wire import pack_value

__all__ = [
    "ENCODED",
    "ENCODED_MAX",
    "decode_data",
    "decode_error",
    "decode_result",
    "pack_encoded_error",
    "pack_encoded_result",
]

ENCODED: Final = "__stemEncoded"
"""Key of the mark: the encoder's id, and what else is encoded."""

ENCODED_MAX: Final = 48 * 1024
"""The bytes that an encoder may make of an error, so that it fits one record."""

#: Words about an error in its meta that may quote what is hidden.
_WORDS: Final = ("metaRefused", "retryStrategy")
_ENCODED_KEY: Final = pack_value(ENCODED)


def pack_encoded_result(
    encoder: PayloadEncoder, value: object, meta: Mapping[str, object] | None
) -> tuple[bytes, bytes]:
    """
    Return the packed result, encoded, and the mark behind it.

    Args:
        encoder: Of the task.
        value: What the handler returned.
        meta: What it stored in ``context.meta``; None or empty: nothing.

    Raises:
        PayloadError: If a part has no wire form, or the encoder fails.
    """
    try:
        result = encode_packed(encoder, value, path="result")
    except PayloadError:
        pack_value(value, path="result")  # where the value is at fault, this says so
        raise
    encoded_id = pack_value(encoder.id)
    if not meta:
        return result, _ENCODED_KEY + b"\x91" + encoded_id
    kept = encode_packed(encoder, dict(meta), path="meta")
    return result, b"".join((_ENCODED_KEY, b"\x92", encoded_id, kept))


def decode_result(
    stored: object, mark: object, encoders: TaskPayloadEncoderRegistry | None
) -> tuple[object, Mapping[str, object]]:
    """
    Return the result and the meta of an encoded map.

    Args:
        stored: The result in it.
        mark: The mark in it.
        encoders: What decodes both; None: the result is left as it is.

    Raises:
        PayloadError: If the mark is none, or the encoder fails.
        EncoderNotRegistered: If there is no such encoder.
    """
    match mark:
        case [str(encoder_id)]:
            has_meta, kept = False, None
        case [str(encoder_id), kept]:
            has_meta = True
        case _:
            raise _no_mark()
    meta: dict[str, object] = {RESULT_ENCODER_META: encoder_id}
    if encoders is None:
        return stored, meta
    encoder = encoders.resolve_result(encoder_id)
    value = decode(encoder, stored, path="result")
    if has_meta:
        meta = {**_map(decode(encoder, kept, path="meta"), "meta"), **meta}
    return value, meta


def pack_encoded_error(
    encoder: PayloadEncoder, error: TaskError, meta: Mapping[str, object] | None
) -> bytes:
    """
    Return the packed *error*: its type, numbers and verdict clear, the rest encoded.

    Args:
        encoder: Of the task.
        error: What ended the start.
        meta: What the handler stored in ``context.meta``; None or empty: nothing.

    Raises:
        PayloadError: If the encoder fails while there is *meta*. Without, the stack is
            given up, then the message: the error itself is always recorded.
    """
    words = {name: error.meta[name] for name in _WORDS if name in error.meta}
    clear = {k: v for k, v in error.meta.items() if k not in words}
    bare = replace(error, stack=None, meta={**clear, RESULT_ENCODER_META: encoder.id})
    reason = ""
    for hidden in _less_and_less(error, words, meta or {}):
        try:
            packed = encode_packed(encoder, hidden, path="error")
            if len(packed) > ENCODED_MAX:
                raise PayloadTooLarge(len(packed), ENCODED_MAX, path="error")
        except BaseException as refused:  # sys.exit, too: the worker has to go on
            reason = _reason(encoder, refused)
            if meta:
                raise PayloadError(reason, path="error") from refused
            continue
        shown = replace(bare, message=f"(encoded by {encoder.id!r})")
        wire = pack_value(shown.to_wire(), path="error")
        mark = b"\x92" + pack_value(encoder.id)
        return b"".join((_one_more(wire), _ENCODED_KEY, mark, packed))
    shown = replace(bare, message=f"(not kept: {reason})")
    return pack_value(shown.to_wire(), path="error")


def decode_error(
    error: TaskError, mark: object, encoders: TaskPayloadEncoderRegistry
) -> tuple[TaskError, Mapping[str, object]]:
    """
    Return the whole of *error*, of which only a part is clear, and the kept meta.

    Raises:
        PayloadError: If the mark is none, or the encoder fails.
        EncoderNotRegistered: If there is no such encoder.
    """
    match mark:
        case [str(encoder_id), stored]:
            encoder = encoders.resolve_result(encoder_id)
            hidden = _map(decode(encoder, stored, path="error"), "error")
        case _:
            raise _no_mark()
    match hidden:
        case {
            "message": str(message),
            "stack": str() | None as stack,
            "words": dict() as words,
            "meta": dict() as meta,
        }:
            whole = replace(
                error, message=message, stack=stack, meta={**error.meta, **words}
            )
            return whole, {**meta, RESULT_ENCODER_META: encoder_id} if meta else {}
    raise PayloadError(
        f"what the encoder {encoder_id!r} has made of the error is none", path="error"
    )


def pack_mark(encoder: PayloadEncoder) -> bytes:
    """Return the mark of encoded data."""
    return pack_value(encoder.id)


def decode_data(
    data: object, mark: object, encoders: TaskPayloadEncoderRegistry | None
) -> object:
    """
    Return the decoded *data* of a progress report; without *encoders* as they are.

    Raises:
        PayloadError: If the mark is none, or the encoder fails.
        EncoderNotRegistered: If there is no such encoder.
    """
    if not isinstance(mark, str):
        raise _no_mark()
    if encoders is None:
        return data
    return decode(encoders.resolve_result(mark), data, path="data")


def _reason(encoder: PayloadEncoder, refused: BaseException) -> str:
    """Return why an error was not encoded; what user code says may quote it."""
    if isinstance(refused, PayloadError):
        return str(refused)
    return f"the encoder {encoder.id!r} has raised {type(refused).__name__}"


def _less_and_less(
    error: TaskError, words: Mapping[str, object], meta: Mapping[str, object]
) -> Iterator[dict[str, Any]]:
    hidden = {"message": error.message, "words": dict(words), "meta": dict(meta)}
    yield {**hidden, "stack": error.stack}
    yield {**hidden, "stack": None}


def _one_more(packed: bytes) -> bytes:
    """Return the packed map with its length one higher: another pair follows."""
    return bytes((packed[0] + 1,)) + packed[1:]


def _map(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise PayloadError(f"what was decoded of {path} is no map", path=path)
    return value


def _no_mark() -> PayloadError:
    return PayloadError("the payload does not name its encoder", path="payload")
