"""Versioned payloads: maps whose first key says which version of a schema they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from stem_actor.errors import PayloadError

__all__ = [
    "VERSION_KEY",
    "Payload",
    "VersionedDecoder",
    "check_version",
    "decode_versioned",
    "map_of",
    "split_version",
    "with_version",
]

V = TypeVar("V")

Payload = dict[str, Any]
VersionedDecoder = Callable[[Payload, int], V]
"""Takes a map without its mark, and its version; as a ``PayloadVersionRegistry``."""

VERSION_KEY: Final = "__stemPayloadVersion"
_FIRST: Final = 1


def check_version(version: object, name: str = "version") -> int:
    """
    Return *version*.

    Raises:
        ValueError: If it is no int above 0.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"{name} must be an int above 0, not {version!r}")
    return version


def with_version(payload: Mapping[str, object], version: int) -> dict[str, object]:
    """Return *payload* with the mark of *version* as first key, in place of any."""
    marked: dict[str, object] = {VERSION_KEY: version}
    marked.update(payload)
    marked[VERSION_KEY] = version
    return marked


def split_version(
    payload: object, *, default: int | None = None, path: str
) -> tuple[int, Payload]:
    """
    Return the version of *payload*, and the map without its mark.

    Args:
        payload: A map; the mark is an int, or text that is one.
        default: The version of a map without a mark; None: 1.
        path: What the payload is called in errors.

    Raises:
        PayloadError: If *payload* is no map, or its mark no number.
    """
    rest = map_of(payload, path=path)
    version = rest.pop(VERSION_KEY, None)
    if version is None:
        return (_FIRST if default is None else default), rest
    if isinstance(version, str) and version.isascii() and version.isdigit():
        version = int(version)
    if isinstance(version, float) and version.is_integer():
        version = int(version)
    if isinstance(version, bool) or not isinstance(version, int):
        raise PayloadError(
            f"{path} has {VERSION_KEY} {version!r}, which is no version",
            path=f"{path}.{VERSION_KEY}",
            hint="write an int there",
        )
    return version, rest


def decode_versioned(
    payload: object,
    decode: VersionedDecoder[V],
    *,
    default: int | None = None,
    path: str,
) -> V:
    """
    Return what *decode* makes of *payload* and its version.

    Args:
        payload: A map, with or without a mark.
        decode: Takes the map without its mark, and the version.
        default: The version of a map without a mark; None: that of *decode* if it is
            a registry, else 1.
        path: What the payload is called in errors.

    Raises:
        PayloadError: If *payload* is no map, or its mark no number.
        PayloadVersionError: If *decode* knows no such version.
    """
    if default is None:
        default = getattr(decode, "default_version", None)
    version, rest = split_version(payload, default=default, path=path)
    return decode(rest, version)


def map_of(payload: object, *, path: str) -> Payload:
    """
    Return a copy of *payload*, which must be a map with text as keys.

    Raises:
        PayloadError: If it is anything else.
    """
    if not isinstance(payload, Mapping):
        given = "None" if payload is None else type(payload).__name__
        raise PayloadError(f"{path}: expected a map, got `{given}`", path=path)
    for key in payload:
        if not isinstance(key, str):
            raise PayloadError(
                f"{path} has the key {key!r}; keys must be text", path=path
            )
    return dict(payload)
