"""The readers of a context's arguments: one of them, or all as one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from stem_actor.errors import PayloadError
from stem_actor.model.payload_map import PayloadMap
from stem_actor.model.raising import raise_
from stem_actor.model.readers import Decoding
from stem_actor.model.version import VersionedDecoder, decode_versioned

__all__ = ["ArgumentReaders"]

V = TypeVar("V")


class ArgumentReaders:
    """Reads ``args`` by type; what does not fit is an error that names its place."""

    __slots__ = ()

    @property
    def args(self) -> Mapping[str, object]:
        """The arguments by name, as they crossed the wire."""
        raise NotImplementedError

    def arg(self, name: str) -> object:
        """
        Return the argument *name*.

        Raises:
            KeyError: If it was not passed.
        """
        return self.args[name]

    def arg_or(self, name: str, default: V) -> V:
        """
        Return the argument *name*, which must be of the type of *default*; or that.

        Raises:
            PayloadError: If it is something else.
        """
        return PayloadMap(self.args, path="args").value_or(name, default)

    @overload
    def required_arg(self, name: str) -> object: ...
    @overload
    def required_arg(self, name: str, expected: type[V]) -> V: ...
    def required_arg(self, name: str, expected: Any = None) -> Any:
        """
        Return the argument *name* as an object of type *expected*.

        Raises:
            PayloadError: If it was not passed, or does not fit.
        """
        path = f"args.{name}"
        if name not in self.args:
            raise PayloadError(f"{path} is missing", path=path)
        value = self.args[name]
        return value if expected is None else raise_(value, expected, path=path)

    def args_json(self, expected: type[V]) -> V:
        """
        Return all arguments as one object of type *expected*, a DTO class.

        Raises:
            PayloadError: If they do not fit.
        """
        raised: V = raise_(dict(self.args), expected, path="args")
        return raised

    def args_versioned_json(
        self, decode: VersionedDecoder[V], *, default_decode_version: int | None = None
    ) -> V:
        """
        Return what *decode* makes of all arguments, a versioned map.

        Args:
            decode: Takes the map without its mark, and the version; a function, or a
                ``PayloadVersionRegistry``.
            default_decode_version: The version of a map without a mark; None: 1.

        Raises:
            PayloadVersionError: If it is of no version that *decode* knows.
        """
        return decode_versioned(
            self.args, decode, default=default_decode_version, path="args"
        )

    def args_as(self, codec: Decoding[V]) -> V:
        """Return all arguments as *codec* decodes them."""
        return codec.decode(dict(self.args))
