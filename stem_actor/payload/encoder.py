"""TaskPayloadEncoder: what is done to payloads before they leave the process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, cast

from stem_actor.errors import EncoderNotRegistered, PayloadError
from stem_actor.model.metadata import PayloadEncoder
from stem_actor.payload.wire import pack_args, pack_value

__all__ = [
    "ARGS_ENCODER",
    "ARGS_ENCODER_META",
    "JSON",
    "RESULT_ENCODER_META",
    "JsonPayloadEncoder",
    "TaskPayloadEncoder",
    "decode",
    "encode_packed",
    "pack_encoded_args",
]

JSON: Final = "json"
"""The id of the encoder that changes nothing; its payloads bear no mark."""

ARGS_ENCODER: Final = "stem-args-encoder"
"""The header that names the encoder of the arguments."""

ARGS_ENCODER_META: Final = "__stemArgsEncoder"
"""The same in ``context.meta``."""

RESULT_ENCODER_META: Final = "__stemResultEncoder"
"""Key in the meta of a status or an error: by what they were encoded."""


class _ClassName:
    """The id of an encoder that sets none."""

    def __get__(self, encoder: object, owner: type) -> str:
        return owner.__name__


class TaskPayloadEncoder(ABC):
    """
    Encodes arguments and results, and decodes them.

    Both run in the producer and in the worker, never in the supervisor, once each way.
    One object serves every thread of its process, and the children of a fork. What a
    method raises becomes a ``PayloadError`` that names the encoder, and not the value.

    Attributes:
        id: What its payloads are marked with; default: the name of the class.
    """

    id: str = cast("str", _ClassName())

    @abstractmethod
    def encode(self, value: object) -> object:
        """
        Return the form in which *value* leaves the process.

        Args:
            value: Arguments as a map by name, or a result; plain values.

        Returns:
            Any plain value, see ``payload.wire``.
        """

    @abstractmethod
    def decode(self, stored: object) -> object:
        """Return the value of which ``encode`` has made *stored*."""

    def __repr__(self) -> str:
        # Never the attributes: there may be a key among them.
        return f"<{type(self).__name__} {self.id!r}>"

    def __eq__(self, other: object) -> bool:
        """Two encoders are equal if they are of one class and have equal attributes."""
        if type(self) is not type(other):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.id))


class JsonPayloadEncoder(TaskPayloadEncoder):
    """Changes nothing: plain values, as they are. The default."""

    id = JSON

    def encode(self, value: object) -> object:
        return value

    def decode(self, stored: object) -> object:
        return stored


def pack_encoded_args(encoder: PayloadEncoder, args: dict[str, object]) -> bytes:
    """
    Return the wire form of *args*, encoded.

    Raises:
        PayloadError: If the encoder fails, or what it makes has no wire form.
    """
    try:
        return encode_packed(encoder, args, path="args")
    except PayloadError:
        pack_args(args)  # where the arguments are at fault, this names the one
        raise


def encode_packed(encoder: PayloadEncoder, value: object, *, path: str) -> bytes:
    """
    Return the wire form of *value*, encoded.

    Args:
        encoder: The encoder.
        value: What is to be encoded.
        path: What the value is called in errors.

    Raises:
        PayloadError: If the encoder fails, or what it makes has no wire form.
    """
    try:
        encoded = encoder.encode(value)
    except Exception as error:  # user code
        raise _failure(encoder, "encoded", error, path) from error
    try:
        return pack_value(encoded, path=path)
    except PayloadError as error:
        raise PayloadError(
            f"{path} cannot be encoded: the encoder {encoder.id!r} has made a "
            f"{type(encoded).__name__} of it that has no wire form",
            path=path,
            hint="let encode return None, bool, int, float, str, bytes, list or dict",
        ) from error


def decode(encoder: PayloadEncoder, stored: object, *, path: str) -> object:
    """
    Return the value that *stored* is decoded to.

    Raises:
        PayloadError: If the encoder fails.
    """
    try:
        return encoder.decode(stored)
    except Exception as error:  # user code, or bytes of somebody else
        raise _failure(encoder, "decoded", error, path) from error


def _failure(
    encoder: PayloadEncoder, verb: str, error: Exception, path: str
) -> PayloadError:
    """Return the error that says so; what *error* says may hold a part of the value."""
    reason = type(error).__name__
    if isinstance(error, PayloadError | EncoderNotRegistered):
        reason = str(error)  # ours, and without values
    return PayloadError(
        f"{path} cannot be {verb} by the encoder {encoder.id!r}: {reason}", path=path
    )
