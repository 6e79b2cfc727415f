"""PayloadVersionRegistry: which decoder reads which version of a schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from stem_actor.errors import PayloadVersionError
from stem_actor.model.version import VERSION_KEY, Payload, check_version

__all__ = ["PayloadVersionRegistry"]

V = TypeVar("V")


class PayloadVersionRegistry(Generic[V]):
    """
    Decoders by version. Stands wherever a ``decode(payload, version)`` does.

    Attributes:
        default_version: The version of a map without a mark; None: 1.
    """

    def __init__(
        self,
        decoders: Mapping[int, Callable[[Payload], V]],
        *,
        default_version: int | None = None,
    ) -> None:
        """
        Keep *decoders*: each takes a map of its version, without the mark.

        Raises:
            ValueError: If there are none, or a version is no int above 0.
        """
        if not decoders:
            raise ValueError("a registry of versions needs at least one decoder")
        for version in decoders:
            check_version(version)
        if default_version is not None:
            check_version(default_version, "default_version")
        self._decoders = dict(decoders)
        self.default_version = default_version

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that it reads, in order."""
        return tuple(sorted(self._decoders))

    def __repr__(self) -> str:
        return f"PayloadVersionRegistry({list(self.versions)})"

    def __call__(self, payload: Payload, version: int) -> V:
        """
        Return the object that *payload*, a map of *version*, stands for.

        Raises:
            PayloadVersionError: If no decoder reads that version; names the known ones.
        """
        try:
            decoder = self._decoders[version]
        except KeyError:
            raise PayloadVersionError(
                version, known=self._decoders, key=VERSION_KEY, path="payload"
            ) from None
        return decoder(payload)
