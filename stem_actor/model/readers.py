"""
The typed readers of stored payloads and meta, as mix-ins of the values with some.

They are had by ``TaskError``, which ``errors.py`` names; reading raises the errors of
that page. An import would close the circle, so ``payload/codec.py`` says once how
values are read, by ``read_with``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

__all__ = ["Decoding", "MetaReaders", "PayloadReaders", "Reading", "read_with"]

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Decoding(Protocol[V_co]):
    """What reads a stored value; a ``PayloadCodec`` is one."""

    def decode(self, stored: Any, /) -> V_co:
        """Return the object that *stored* stands for."""
        ...


class Reading(Protocol):
    """How plain values become objects."""

    def raised(self, value: object, expected: Any, *, path: str) -> Any:
        """Return the object of type *expected* that *value* stands for."""
        ...

    def versioned(
        self,
        value: object,
        decode: Callable[[dict[str, Any], int], V],
        default: int | None,
        path: str,
    ) -> V:
        """Return what *decode* makes of *value*, a versioned map."""
        ...


_reading: Final[list[Reading]] = []


def read_with(reading: Reading) -> None:
    """Read with *reading* from now on."""
    _reading[:] = [reading]


class PayloadReaders:
    """Reads the whole payload of a value as one object; None if there is no payload."""

    __slots__ = ()

    def payload_json(self, expected: type[V]) -> V | None:
        """
        Return the payload as an object of type *expected*.

        Args:
            expected: A DTO class, or any other type that is checked at run time.

        Raises:
            PayloadError: If it does not fit; names the place.
        """
        stored = self._stored()
        if stored is None:
            return None
        raised: V = _reading[0].raised(stored, expected, path="payload")
        return raised

    def payload_versioned_json(
        self,
        decode: Callable[[dict[str, Any], int], V],
        *,
        default_decode_version: int | None = None,
    ) -> V | None:
        """
        Return what *decode* makes of the payload, a versioned map.

        Args:
            decode: Takes the map without its mark, and the version; a function, or a
                ``PayloadVersionRegistry``.
            default_decode_version: The version of a map without a mark; None: 1.

        Raises:
            PayloadError: If the payload is no map; ``PayloadVersionError``: of no
                version that *decode* knows.
        """
        stored = self._stored()
        if stored is None:
            return None
        return _reading[0].versioned(stored, decode, default_decode_version, "payload")

    def payload_as(self, codec: Decoding[V]) -> V | None:
        """Return the payload as *codec* decodes it."""
        stored = self._stored()
        return None if stored is None else codec.decode(stored)

    def _stored(self) -> object:
        raise NotImplementedError


class _HasMeta(Protocol):
    @property
    def meta(self) -> Mapping[str, object]: ...


class MetaReaders:
    """Reads the whole ``meta`` of a value as one object."""

    __slots__ = ()

    def meta_json(self: _HasMeta, expected: type[V]) -> V:
        """
        Return the meta as an object of type *expected*, a DTO class.

        Raises:
            PayloadError: If it does not fit; names the place.
        """
        raised: V = _reading[0].raised(dict(self.meta), expected, path="meta")
        return raised

    def meta_versioned_json(
        self: _HasMeta,
        decode: Callable[[dict[str, Any], int], V],
        *,
        default_decode_version: int | None = None,
    ) -> V:
        """
        Return what *decode* makes of the meta, a versioned map.

        Raises:
            PayloadVersionError: If it is of no version that *decode* knows.
        """
        return _reading[0].versioned(self.meta, decode, default_decode_version, "meta")

    def meta_as(self: _HasMeta, codec: Decoding[V]) -> V:
        """Return the meta as *codec* decodes it."""
        return codec.decode(dict(self.meta))
