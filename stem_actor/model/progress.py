"""ProgressSignal: what a handler last said of its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, overload

from stem_actor.model.payload_map import PayloadMap
from stem_actor.model.readers import PayloadReaders
from stem_actor.model.version import VersionedDecoder, map_of

__all__ = ["ProgressSignal"]

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class ProgressSignal(PayloadReaders):
    """
    What a handler last said of its progress.

    Attributes:
        percent: In 0..100.
        data: What it said beside that, plain values; the ``payload_…`` readers read
            all of it, the ``data_…`` readers one key of a map.
    """

    percent: float
    data: object = None

    @overload
    def data_value(self, key: str) -> object: ...
    @overload
    def data_value(self, key: str, expected: type[V]) -> V | None: ...
    def data_value(self, key: str, expected: Any = object) -> Any:
        """
        Return what *key* holds, as an object of type *expected*; None if it is missing.

        Raises:
            PayloadError: If the data is no map, or the value does not fit.
        """
        return self._map().value(key, expected)

    def data_json(self, key: str, expected: type[V]) -> V | None:
        """As ``data_value``: the DTO that the map at *key* stands for."""
        return self._map().value(key, expected)

    def data_versioned_json(
        self,
        key: str,
        decode: VersionedDecoder[V],
        *,
        default_decode_version: int | None = None,
    ) -> V | None:
        """
        Return what *decode* makes of the versioned map at *key*; None if it is missing.

        Raises:
            PayloadVersionError: If it is of no version that *decode* knows.
        """
        return self._map().value_versioned(
            key, decode, default_decode_version=default_decode_version
        )

    def _map(self) -> PayloadMap:
        data = {} if self.data is None else map_of(self.data, path="data")
        return PayloadMap(data, path="data")

    def _stored(self) -> object:
        return self.data
