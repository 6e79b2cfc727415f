"""AesGcmEncoder: payloads that only the holders of a key can read or make."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from stem_actor.errors import PayloadError, SettingsError
from stem_actor.payload.bounded import unpack_bounded
from stem_actor.payload.encoder import TaskPayloadEncoder
from stem_actor.payload.wire import pack_value

__all__ = ["AesGcmEncoder"]

_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ID_BYTES: Final = 64
_VERSION: Final = b"\x01"
_INFO: Final = b"stem_actor aes-gcm 1"
#: Messages under one derived key: random nonces of 96 bits collide with a probability
#: below 2**-48 then, and still below 2**-32 if 256 children of a fork share the key.
_SESSION_MAX: Final = 1 << 24
_CIPHERS_KEPT: Final = 256


class AesGcmEncoder(TaskPayloadEncoder):
    """
    Encrypts and authenticates by AES-256-GCM; needs the extra ``crypto``.

    Rotation: put the new key first, and keep the old one behind it until nothing is
    stored any more that it has encrypted. Every process that reads must know a key
    before one that writes uses it: add it last everywhere, then move it first.

    The ciphertext shows the key's id and the length of the payload. It is bound to
    *associated_data* and not to its task: who can write to the ring can give a task the
    arguments of another one. Compare what matters in the handler.

    Under one key of GCM with random nonces 2**32 messages are safe, which is half a
    day at 100,000 a second. So each process derives a key of its own (HKDF-SHA-256, a
    random salt that goes with each message), and another one after 2**24 messages.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        *,
        associated_data: bytes = b"",
        id: str = "aes-gcm",
    ) -> None:
        """
        Args:
            keys: By id, each 32 random bytes, such as ``secrets.token_bytes(32)``. The
                first one encrypts; all of them decrypt.
            associated_data: What both sides must agree on, for example the name of the
                application and of the environment.
            id: What payloads are marked with.

        Raises:
            SettingsError: If a key is not of 32 bytes, there is none, or the package
                cryptography is not installed.
        """
        problems = _key_problems(keys)
        if problems:
            raise SettingsError(problems)
        self.id = id
        self._keys = dict(keys)
        self._bound = associated_data
        self._first = next(iter(keys))
        derive = _derivation()
        self._cipher = lru_cache(_CIPHERS_KEPT)(
            lambda key_id, salt: derive(self._keys[key_id], salt)
        )
        self._salt, self._used = os.urandom(_SALT_BYTES), 0

    def encode(self, value: object) -> bytes:
        # A race of two threads here loses a count or makes one more key: no harm.
        self._used += 1
        if self._used > _SESSION_MAX:
            self._salt, self._used = os.urandom(_SALT_BYTES), 1
        salt, name = self._salt, self._first.encode()
        head = b"".join((_VERSION, bytes((len(name),)), name, salt))
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._cipher(self._first, salt)
        sealed: bytes = cipher.encrypt(nonce, pack_value(value), head + self._bound)
        return head + nonce + sealed

    def decode(self, stored: object) -> object:
        if not isinstance(stored, bytes) or stored[:1] != _VERSION or len(stored) < 2:
            raise PayloadError("it is not encrypted by this encoder", path="payload")
        head_size = 2 + stored[1] + _SALT_BYTES
        if len(stored) < head_size + _NONCE_BYTES + _TAG_BYTES:
            raise PayloadError("it is cut off", path="payload")
        head, rest = stored[:head_size], stored[head_size:]
        key_id = head[2:-_SALT_BYTES].decode("utf-8", "backslashreplace")
        if key_id not in self._keys:
            known = ", ".join(self._keys)
            raise PayloadError(
                f"it needs the key {key_id!r}, and there are: {known}",
                path="payload",
                hint="keep a key until nothing is stored that it has encrypted",
            )
        cipher = self._cipher(key_id, head[-_SALT_BYTES:])
        nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            packed: bytes = cipher.decrypt(nonce, sealed, head + self._bound)
        except Exception as error:
            if type(error).__name__ != "InvalidTag":
                raise
            raise PayloadError(
                f"it was changed, or the key {key_id!r} or the associated data differ",
                path="payload",
            ) from None
        return unpack_bounded(packed)

    def __repr__(self) -> str:
        return f"<AesGcmEncoder {self.id!r} keys={list(self._keys)}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AesGcmEncoder):
            return NotImplemented
        return (self.id, list(self._keys.items()), self._bound) == (
            other.id,
            list(other._keys.items()),
            other._bound,
        )

    def __hash__(self) -> int:
        return hash((AesGcmEncoder, self.id))

    def __reduce__(self) -> str:
        raise TypeError("an AesGcmEncoder is not pickled: its keys would go with it")


def _key_problems(keys: Mapping[str, bytes]) -> list[str]:
    problems = [] if keys else ["AesGcmEncoder needs at least one key"]
    for key_id, key in keys.items():
        if not isinstance(key_id, str) or not 1 <= len(key_id.encode()) <= _ID_BYTES:
            problems.append(f"a key's id is text of 1 to {_ID_BYTES} bytes")
        if not isinstance(key, bytes) or len(key) != _KEY_BYTES:
            problems.append(f"the key {key_id!r} must be {_KEY_BYTES} bytes")
    return problems


def _derivation() -> Callable[[bytes, bytes], Any]:
    """Return what makes a cipher of a key and a salt."""
    try:
        aead: Any = import_module("cryptography.hazmat.primitives.ciphers.aead")
        hkdf: Any = import_module("cryptography.hazmat.primitives.kdf.hkdf")
        hashes: Any = import_module("cryptography.hazmat.primitives.hashes")
    except ImportError as error:
        raise SettingsError(
            ["AesGcmEncoder needs the package cryptography"],
            hint="pip install 'stem-actor[crypto]'",
        ) from error

    def derive(key: bytes, salt: bytes) -> Any:
        derivation = hkdf.HKDF(
            algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=salt, info=_INFO
        )
        return aead.AESGCM(derivation.derive(key))

    return derive
