"""CompressionEncoder: large payloads made smaller."""

from __future__ import annotations

import zlib
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Literal

from stem_actor.errors import PayloadError, SettingsError
from stem_actor.payload.bounded import unpack_bounded
from stem_actor.payload.encoder import TaskPayloadEncoder
from stem_actor.payload.wire import pack_value

__all__ = ["CompressionEncoder"]

Method = Literal["zlib", "zstd"]

_LEVELS: Final = {"zlib": (0, 9, 6), "zstd": (1, 22, 3)}  # lowest, highest, default
#: First byte of what ``encode`` returns: how the rest is packed.
_AS_IT_IS: Final = b"\x00"
_ZLIB: Final = b"\x01"
_ZSTD: Final = b"\x02"


class CompressionEncoder(TaskPayloadEncoder):
    """
    Compresses what takes *threshold* bytes or more, where that makes it smaller.

    Either method reads what the other has written. What is decompressed is bounded
    by *max_decoded*, and by the number of values that a payload may have, so that a
    small payload cannot fill the memory of a worker.
    """

    def __init__(
        self,
        method: Method = "zlib",
        *,
        level: int | None = None,
        threshold: int = 1024,
        max_decoded: int = 64 << 20,
        id: str = "compression",
    ) -> None:
        """
        Args:
            method: ``"zlib"``, or ``"zstd"`` where the package zstandard is installed.
            level: 0 to 9 for zlib, 1 to 22 for zstd; None: 6, and 3.
            threshold: Bytes of the packed value from which on it is compressed.
            max_decoded: Most bytes that decompressing may come to.
            id: What payloads are marked with.

        Raises:
            SettingsError: If a value is out of range, or zstandard is not installed.
        """
        if method not in _LEVELS:
            raise SettingsError([f"there is no compression method {method!r}"])
        low, high, usual = _LEVELS[method]
        self.id = id
        self.method = method
        self.level = usual if level is None else level
        self.threshold = threshold
        self.max_decoded = max_decoded
        if not low <= self.level <= high:
            raise SettingsError(
                [f"the level of {method} must be in {low}..{high}, not {level}"]
            )
        if threshold < 0 or max_decoded < 1:
            raise SettingsError(["threshold must be >= 0, and max_decoded > 0"])
        if method == "zstd":
            _zstandard()

    def encode(self, value: object) -> bytes:
        packed = pack_value(value)
        if len(packed) < self.threshold:
            return _AS_IT_IS + packed
        if self.method == "zlib":
            smaller = _ZLIB + zlib.compress(packed, self.level)
        else:
            # One for each call: they are not safe for threads, and cost little.
            compressor: Any = _zstandard().ZstdCompressor(level=self.level)
            smaller = _ZSTD + compressor.compress(packed)
        return smaller if len(smaller) <= len(packed) else _AS_IT_IS + packed

    def decode(self, stored: object) -> object:
        if not isinstance(stored, bytes) or not stored:
            raise PayloadError("it is not what compressing makes", path="payload")
        first, rest = stored[:1], stored[1:]
        if first == _AS_IT_IS:
            return unpack_bounded(rest)
        if first == _ZLIB:
            return unpack_bounded(self._inflate(rest))
        if first == _ZSTD:
            return unpack_bounded(self._unzstd(rest))
        raise PayloadError("it is not what compressing makes", path="payload")

    def _inflate(self, data: bytes) -> bytes:
        stream = zlib.decompressobj()
        found = stream.decompress(data, self.max_decoded + 1)
        if len(found) > self.max_decoded:
            raise self._too_large()
        if not stream.eof or stream.unused_data:
            raise PayloadError(
                "it is cut off, or goes on behind its end", path="payload"
            )
        return found

    def _unzstd(self, data: bytes) -> bytes:
        zstandard: Any = _zstandard()
        # The frame says its size, and would be believed whatever the bound.
        if zstandard.frame_content_size(data) > self.max_decoded:
            raise self._too_large()
        reader = zstandard.ZstdDecompressor()
        found: bytes = reader.decompress(data, max_output_size=self.max_decoded)
        return found

    def _too_large(self) -> PayloadError:
        return PayloadError(
            f"it takes more than {self.max_decoded:,} bytes decompressed",
            path="payload",
            hint="raise max_decoded of the encoder",
        )


def _zstandard() -> ModuleType:
    try:
        return import_module("zstandard")
    except ImportError as error:
        raise SettingsError(
            ["compression by zstd needs the package zstandard"],
            hint="pip install 'stem-actor[zstd]'",
        ) from error
