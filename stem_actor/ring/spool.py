"""The spool: payloads too large for the ring, in files of the ring's directory."""

from __future__ import annotations

import os
import secrets
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from stem_actor.errors import PayloadError, PayloadTooLarge, QueueFull
from stem_actor.ids import new_id
from stem_actor.ring.native import lib
from stem_actor.ring.record import HEAD, SPOOLED

__all__ = [
    "INLINE_MAX",
    "RESULT_SUFFIX",
    "Spool",
    "args_name",
    "claimed_name",
    "is_claim",
    "result_name",
]

#: The largest record that travels inside the ring, head and names included.
INLINE_MAX: Final = 60_000

RESULT_SUFFIX: Final = ".out"

#: A claim check is no MessagePack: 0xc1 is the byte that the format never uses. The
#: core reads size and token where ``SA_CLAIM_SIZE_AT`` and ``SA_CLAIM_TOKEN_AT`` say.
_MARK: Final = b"\xc1stem-spool"
_CLAIM: Final = struct.Struct("<QI")
_FRESH: Final = ".tmp"
_TOKEN_BYTES: Final = 4  # eight characters
#: Where id and flags lie in a packed head, and the length of the queue's name.
_ID: Final = slice(16, 32)
_FLAGS_AT: Final = 1
_QUEUE_LEN: Final = slice(4, 6)

#: What the arguments of all tasks may take together, or four of the largest payload;
#: their results may take as much again.
_QUOTA: Final = 1 << 30
#: A writer looks at the directory after every such part of the quota.
_LOOKS: Final = 256


def is_claim(payload: bytes) -> bool:
    """Whether *payload* is a claim check and not the payload itself."""
    return payload.startswith(_MARK)


def args_name(task_id: bytes, token: str, size: int) -> str:
    """Return the name of a file of arguments; *token* tells it from others."""
    return f"{task_id.hex()}.{token}.{size}.args"


def result_name(task_id: bytes, starts: int) -> str:
    """Return the name of the file with the result of one start."""
    return f"{task_id.hex()}.{starts}{RESULT_SUFFIX}"


def claimed_name(payload: bytes) -> str | None:
    """Return the file that *payload* stands for; None if it is no claim check."""
    return _name_in(payload) if is_claim(payload) else None


class Spool:
    """
    Files by task id: ``ID.TOKEN.SIZE.args`` and ``ID.STARTS.out``.

    A file is written whole, then renamed, then named in a record: whoever reads a
    claim check finds every byte, and a crash before leaves only a ``.tmp``. The
    claim holds length and CRC-32C.

    All arguments together may take *quota*. There is no counter that a crash could
    leave wrong: their files are the account, and each bears its size in its name
    before it has any bytes. Whoever makes one and then finds too much removes it
    again, so of two that meet at most both are refused. A writer looks after every
    256th part of the quota, which is what each may be above it.

    Results have a quota of the same size, and an account of their own, so that neither
    side can starve the other. A result's file has its full size before it has any
    bytes. What is over the quota is refused as where the file system is full: the
    worker waits for room, for a while, and then the task fails. It cannot wait for
    ever, as results may be kept for an hour, and its worker runs nothing else.

    Args:
        path: The spool directory.
        limit: Largest payload, in bytes.
        quota: Room for arguments, and for results, in bytes; None: 1 GiB or four times
            *limit*.
    """

    def __init__(self, path: Path, limit: int, quota: int | None = None) -> None:
        self._path = path
        self.limit = limit
        self.quota: Final = max(_QUOTA, 4 * limit) if quota is None else quota
        # Look at once: others may have been here.
        self._unseen = self._unseen_results = self.quota

    def put(
        self, name: str, payload: bytes, *, path: str, queue: str | None = None
    ) -> bytes:
        """
        Keep *payload* as *name* and return its claim check.

        Args:
            name: A file name made from the task's id.
            payload: The bytes.
            path: What they are called in errors.
            queue: Whose arguments they are, which the quota is for; None: a result.

        Raises:
            PayloadTooLarge: If they are above the limit.
            QueueFull: If the arguments of waiting tasks take the whole quota.
            PayloadError: If the file system, or the quota of results, has no room.
        """
        if len(payload) > self.limit:
            raise PayloadTooLarge(len(payload), self.limit, path=path)
        fresh = self._path / f"{name}{_FRESH}"
        if queue is None:  # one process at a time makes a result: a dead one's rest
            fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
                if queue is not None:
                    self._require_room(queue, len(payload))
                else:
                    os.truncate(file.fileno(), len(payload))
                    self._require_result_room(path, len(payload))
                file.write(payload)
            fresh.rename(self._path / name)
        except (QueueFull, PayloadError):
            fresh.unlink(missing_ok=True)
            raise
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
            QueueFull: If the arguments of waiting tasks take the whole quota.
        """
        if len(head) + len(body) <= inline_max:
            return head, body
        marked = bytearray(head)
        task_id = bytes(marked[_ID]) if any(marked[_ID]) else new_id()
        marked[_ID] = task_id
        marked[_FLAGS_AT] |= SPOOLED
        # A task that was enqueued under this id before keeps the file of its own.
        name = args_name(task_id, secrets.token_hex(_TOKEN_BYTES), len(body))
        end = HEAD.size + int.from_bytes(head[_QUEUE_LEN], "little")
        queue = head[HEAD.size : end].decode()
        return bytes(marked), self.put(name, body, path="args", queue=queue)

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

    def _require_room(self, queue: str, size: int) -> None:
        """Refuse *size* bytes whose file, empty as yet, is one too many."""
        self._unseen += size
        if self._unseen <= self.quota // _LOOKS:
            return
        if sum(map(_size_in, os.listdir(self._path))) > self.quota:
            raise QueueFull(queue, self.quota, "bytes of large arguments")
        self._unseen = 0

    def _require_result_room(self, path: str, size: int) -> None:
        """Refuse a result of *size* bytes, whose file is there, and one too many."""
        self._unseen_results += size
        if self._unseen_results <= self.quota // _LOOKS:
            return
        if _results_in(self._path) > self.quota:
            raise PayloadError(
                f"{path} of {size:,} bytes cannot be kept in {self._path}: the results "
                f"there take {self.quota:,} bytes, which is all they may",
                path=path,
                hint="lower result_ttl, set ignore_result, or return a reference",
            )
        self._unseen_results = 0


def _results_in(path: Path) -> int:
    """Bytes of the results in the spool at *path*."""
    names = {it.removesuffix(_FRESH) for it in os.listdir(path)}
    return sum(_bytes_of(path / it) for it in names if it.endswith(RESULT_SUFFIX))


def _bytes_of(path: Path) -> int:
    """Bytes of a result, under its name or the one before; 0: it has just gone."""
    for each in (path.with_name(f"{path.name}{_FRESH}"), path):  # as it is renamed
        with suppress(FileNotFoundError):
            return os.stat(each, follow_symlinks=False).st_size
    return 0


def _size_in(name: str) -> int:
    """Bytes of the arguments in the file *name*; 0 for another file."""
    parts = name.removesuffix(_FRESH).split(".")
    return int(parts[2]) if len(parts) == 4 and parts[3] == "args" else 0


def _name_in(claim: bytes) -> str:
    return claim[len(_MARK) + _CLAIM.size :].decode("ascii", "replace")
