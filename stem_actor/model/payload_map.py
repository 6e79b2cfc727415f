"""PayloadMap: a map of plain values, read by type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

from stem_actor.errors import PayloadError
from stem_actor.model.raising import raise_
from stem_actor.model.version import VersionedDecoder, decode_versioned

__all__ = ["PayloadMap"]

V = TypeVar("V")


class PayloadMap(Mapping[str, object]):
    """
    A read-only view of a map of plain values: arguments, meta, a payload.

    Its readers check at run time what they promise to type checkers, and raise a
    DTO (dataclass, attrs class, msgspec Struct, TypedDict, Pydantic model) from the
    map that stands for it. A key that holds None counts as missing.
    """

    __slots__ = ("_path", "_values")

    def __init__(self, values: Mapping[str, object], *, path: str = "payload") -> None:
        """View *values*; *path* is what they are called in errors."""
        self._values = values
        self._path = path

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"PayloadMap({dict(self._values)!r})"

    def __or__(self, other: Mapping[str, object]) -> dict[str, object]:
        return {**self._values, **other}

    @overload
    def value(self, key: str) -> object: ...
    @overload
    def value(self, key: str, expected: type[V]) -> V | None: ...
    def value(self, key: str, expected: Any = object) -> Any:
        """
        Return what *key* holds, as an object of type *expected*; None if it is missing.

        Raises:
            PayloadError: If it is something else; names the path.
        """
        found = self._values.get(key)
        if found is None or expected is object:
            return found
        return raise_(found, expected, path=f"{self._path}.{key}")

    def value_or(self, key: str, default: V) -> V:
        """
        Return what *key* holds, which must be of the type of *default*; or that.

        Raises:
            PayloadError: If it is something else; names the path.
        """
        found: Any = self._values.get(key)
        if found is None:
            return default
        kind: Any = object if default is None else type(default)
        raised: V = raise_(found, kind, path=f"{self._path}.{key}")
        return raised

    @overload
    def required_value(self, key: str) -> object: ...
    @overload
    def required_value(self, key: str, expected: type[V]) -> V: ...
    def required_value(self, key: str, expected: Any = object) -> Any:
        """
        As ``value``, but a missing key is an error.

        Raises:
            PayloadError: If the key is missing, or what it holds is something else.
        """
        found = self.value(key, expected)
        if found is None:
            path = f"{self._path}.{key}"
            raise PayloadError(f"{path} is missing", path=path)
        return found

    def value_versioned(
        self,
        key: str,
        decode: VersionedDecoder[V],
        *,
        default_decode_version: int | None = None,
    ) -> V | None:
        """
        Return what *decode* makes of the versioned map at *key*; None if it is missing.

        Args:
            key: Where it is.
            decode: Takes the map without its mark, and the version.
            default_decode_version: The version of a map without a mark; None: 1.

        Raises:
            PayloadError: If it is no map; ``PayloadVersionError``: of no version that
                *decode* knows.
        """
        found = self._values.get(key)
        if found is None:
            return None
        return decode_versioned(
            found, decode, default=default_decode_version, path=f"{self._path}.{key}"
        )
