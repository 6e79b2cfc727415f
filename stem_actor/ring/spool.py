"""The spool: payloads too large for the ring, in files of the ring's directory."""

from __future__ import annotations

import os
import secrets
import struct
from pathlib import Path
from typing import Final

from stem_actor.errors import PayloadError, PayloadTooLarge
from stem_actor.ids import new_id
from stem_actor.ring.native import lib
from stem_actor.ring.record import SPOOLED

__all__ = ["INLINE_MAX", "Spool", "is_claim"]

#: The largest record that travels inside the ring, head and names included.
INLINE_MAX: Final = 60_000

#: A claim check is no MessagePack: 0xc1 is the byte that the format never uses.
_MARK: Final = b"\xc1stem-spool"
_CLAIM: Final = struct.Struct("<QI")
#: Where id and flags lie in a packed head.
_ID: Final = slice(16, 32)
_FLAGS_AT: Final = 1


def is_claim(payload: bytes) -> bool:
    """Whether *payload* is a claim check and not the payload itself."""
    return payload.startswith(_MARK)


class Spool:
    """
    Files by task id: ``ID.RANDOM.args`` and ``ID.STARTS.out``.

    A file is written whole, then renamed, then named in a record: whoever reads a
    claim check finds every byte, and a crash before leaves only a ``.tmp``. The
    claim holds length and CRC-32C.

    Args:
        path: The spool directory.
        limit: Largest payload, in bytes.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self.limit = limit

    def put(self, name: str, payload: bytes, *, path: str) -> bytes:
        """
        Keep *payload* as *name* and return its claim check.

        Args:
            name: A file name made from the task's id.
            payload: The bytes.
            path: What they are called in errors.

        Raises:
            PayloadTooLarge: If they are above the limit.
            PayloadError: If the file system has no room for them.
        """
        if len(payload) > self.limit:
            raise PayloadTooLarge(len(payload), self.limit, path=path)
        fresh = self._path / f"{name}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
                file.write(payload)
            fresh.rename(self._path / name)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise PayloadError(
                f"{path} of {len(payload):,} bytes cannot be kept in {self._path}: "
                f"{error.strerror}",
                path=path,
                hint="free memory in the runtime directory, or pass a reference",
            ) from error
        crc = lib.sa_crc32c(0, payload, len(payload))
        return _MARK + _CLAIM.pack(len(payload), crc) + name.encode()

    def stow(
        self, head: bytes, body: bytes, *, inline_max: int = INLINE_MAX
    ) -> tuple[bytes, bytes]:
        """
        Return a task's *head* and *body* as they travel: a large body as its claim
        check, with a head that says so.

        Args:
            head: The packed head.
            body: The packed arguments.
            inline_max: What both may take together in the ring.

        Raises:
            PayloadTooLarge: If the body is above the limit.
            PayloadError: If the file system has no room for it.
        """
        if len(head) + len(body) <= inline_max:
            return head, body
        marked = bytearray(head)
        task_id = bytes(marked[_ID]) if any(marked[_ID]) else new_id()
        marked[_ID] = task_id
        marked[_FLAGS_AT] |= SPOOLED
        # A task that was enqueued under this id before keeps the file of its own.
        name = f"{task_id.hex()}.{secrets.token_hex(4)}.args"
        return bytes(marked), self.put(name, body, path="args")

    def discard(self, body: bytes) -> None:
        """Remove what *body* stands for, if it is a claim check; nobody will ask."""
        if is_claim(body):
            (self._path / _name_in(body)).unlink(missing_ok=True)

    def get(self, claim: bytes) -> bytes:
        """
        Return the payload behind *claim*.

        Raises:
            PayloadError: If the file is gone, or is not what was put there.
        """
        size, crc = _CLAIM.unpack_from(claim, len(_MARK))
        name = _name_in(claim)
        if "/" in name or size > self.limit:
            raise PayloadError("the claim check is malformed", path="payload")
        try:
            payload = (self._path / name).read_bytes()
        except OSError as error:
            raise PayloadError(
                f"the payload in {name} is no longer kept", path="payload"
            ) from error
        if len(payload) != size or lib.sa_crc32c(0, payload, size) != crc:
            raise PayloadError(f"the payload in {name} is damaged", path="payload")
        return payload


def _name_in(claim: bytes) -> str:
    return claim[len(_MARK) + _CLAIM.size :].decode("ascii", "replace")
