"""The decoder of a result: one function, of the ways in which it can be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from stem_actor.model.raising import raise_
from stem_actor.model.version import (
    VersionedDecoder,
    check_version,
    decode_versioned,
)

__all__ = ["as_stored", "result_decoder"]

R = TypeVar("R")


def as_stored(stored: Any) -> Any:
    """Return *stored*: plain values need no decoder."""
    return stored


def result_decoder(
    *,
    result_type: type[R] | None = None,
    decode_result: Callable[[Any], R] | None = None,
    decode_result_versioned: VersionedDecoder[R] | None = None,
    default_decode_version: int | None = None,
) -> Callable[[Any], R] | None:
    """
    Return the one decoder of results that is given; None if none is.

    A stored None goes past functions, which are written for what a task returns; a
    type says itself whether None fits.

    Args:
        result_type: A type that results are raised to, strictly.
        decode_result: A function of the stored result.
        decode_result_versioned: A function of the map without its mark, and the
            version; or a ``PayloadVersionRegistry``.
        default_decode_version: The version of a map without a mark; None: 1.

    Raises:
        TypeError: If there is more than one, or a default version without a versioned
            decoder.
        ValueError: If the default version is no int above 0.
    """
    ways = {
        "result_type": result_type,
        "decode_result": decode_result,
        "decode_result_versioned": decode_result_versioned,
    }
    given = [name for name, way in ways.items() if way is not None]
    if len(given) > 1:
        raise TypeError(f"a result has one decoder, not {' and '.join(given)}")
    if default_decode_version is not None:
        check_version(default_decode_version, "default_decode_version")
        if decode_result_versioned is None:
            raise TypeError("default_decode_version needs a versioned decoder")
    if result_type is not None:
        return lambda stored: _raised(stored, result_type)
    if decode_result is not None:
        return _past_none(decode_result)
    if decode_result_versioned is None:
        return None
    versioned = decode_result_versioned
    return _past_none(
        lambda stored: decode_versioned(
            stored, versioned, default=default_decode_version, path="result"
        )
    )


def _raised(stored: object, expected: type[R]) -> R:
    raised: R = raise_(stored, expected, path="result")
    return raised


def _past_none(decode: Callable[[Any], R]) -> Callable[[Any], R]:
    def decoded(stored: Any) -> Any:
        return None if stored is None else decode(stored)

    return decoded
