"""PayloadCodec: between typed objects and the plain values that are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from stem_actor.errors import PayloadError
from stem_actor.model.raising import raise_
from stem_actor.model.readers import read_with
from stem_actor.model.version import (
    Payload,
    VersionedDecoder,
    check_version,
    decode_versioned,
    map_of,
    with_version,
)
from stem_actor.payload.lowering import lower

__all__ = ["PayloadCodec", "lowered_map", "versioned"]

T = TypeVar("T")
V = TypeVar("V")


class PayloadCodec(Generic[T]):
    """
    Two functions: one makes a plain value of an object, the other the object of that.

    For classes that are no DTO, and for schemas with versions. Objects of a dataclass,
    an attrs class, a msgspec Struct, a TypedDict or a Pydantic model need none.
    """

    __slots__ = ("_decode", "_encode")

    def __init__(
        self, encode: Callable[[T], object], decode: Callable[[Any], T]
    ) -> None:
        """
        Keep the two functions.

        Args:
            encode: Returns a plain value, or one of DTOs and plain values.
            decode: Takes what was stored.
        """
        self._encode = encode
        self._decode = decode

    @staticmethod
    def json(expected: type[V]) -> PayloadCodec[V]:
        """Return the codec of a DTO class, or of another type; strict when it reads."""
        return PayloadCodec(lower, lambda stored: raise_(stored, expected))

    @staticmethod
    def versioned_json(
        version: int,
        decode: VersionedDecoder[V],
        *,
        default_decode_version: int | None = None,
    ) -> PayloadCodec[V]:
        """
        Return a codec that writes a DTO as a map of *version*, and reads every version.

        Args:
            version: What is written, above 0.
            decode: Takes a map without its mark, and the version; a function, or a
                ``PayloadVersionRegistry``.
            default_decode_version: The version of a map without a mark; None: that of
                the registry, else *version*.

        Raises:
            ValueError: If a version is no int above 0.
        """
        return PayloadCodec.versioned_map(
            version,
            _dto_map,
            decode,
            default_decode_version=default_decode_version,
        )

    @staticmethod
    def map(
        encode: Callable[[V], Mapping[str, object]], decode: Callable[[Payload], V]
    ) -> PayloadCodec[V]:
        """Return a codec of two functions that has a map on its plain side."""
        return PayloadCodec(
            lambda value: lowered_map(encode(value)),
            lambda stored: decode(map_of(stored, path="payload")),
        )

    @staticmethod
    def versioned_map(
        version: int,
        encode: Callable[[V], Mapping[str, object]],
        decode: VersionedDecoder[V],
        *,
        default_decode_version: int | None = None,
    ) -> PayloadCodec[V]:
        """As ``versioned_json``, with a function of one's own that makes the map."""
        check_version(version)
        default = default_decode_version
        if default is None:
            default = getattr(decode, "default_version", None) or version
        check_version(default, "default_decode_version")
        return PayloadCodec(
            lambda value: with_version(lowered_map(encode(value)), version),
            lambda stored: decode_versioned(
                stored, decode, default=default, path="payload"
            ),
        )

    def encode(self, value: T) -> object:
        """
        Return the plain value that *value* is stored as.

        Raises:
            PayloadError: If a part of it has no wire form.
        """
        return lower(self._encode(value), path="payload")

    def decode(self, stored: Any, /) -> T:
        """
        Return the object that *stored*, a plain value, stands for.

        Raises:
            PayloadError: If it does not fit.
            PayloadVersionError: If nothing here reads its version.
        """
        return self._decode(stored)


def lowered_map(value: object, *, path: str = "payload") -> dict[str, object]:
    """
    Return *value*, a DTO or a map with text as keys, as a map of plain values.

    Raises:
        PayloadError: If it is neither, or a part has no wire form.
    """
    plain = lower(value, path=path)
    if type(plain) is not dict:
        raise PayloadError(
            f"{path} is a {type(value).__name__}, which is no map",
            path=path,
            hint="use a dataclass, a TypedDict or a dict; a list goes under a name",
        )
    return map_of(plain, path=path)


def versioned(dto: object, version: int, *, path: str = "payload") -> dict[str, object]:
    """
    Return the map of *dto*, whose first key says that it is of *version*.

    Raises:
        ValueError: If *version* is no int above 0.
        PayloadError: If *dto* is no map, or a part has no wire form.
    """
    check_version(version)
    return with_version(lowered_map(dto, path=path), version)


def _dto_map(value: object) -> Mapping[str, object]:
    return lowered_map(value)


class _Reading:
    """See ``model.readers``."""

    def raised(self, value: object, expected: Any, *, path: str) -> Any:
        return raise_(value, expected, path=path)

    def versioned(
        self, value: object, decode: VersionedDecoder[V], default: int | None, path: str
    ) -> V:
        return decode_versioned(value, decode, default=default, path=path)


read_with(_Reading())
