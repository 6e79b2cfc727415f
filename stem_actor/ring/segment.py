"""Segments: files of shared memory, created whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from stem_actor.errors import RingCorrupt, RingError
from stem_actor.ring.native import ffi, lib

__all__ = ["Segment", "create_segment", "open_segment"]


class Segment:
    """
    One mapped file.

    Attributes:
        at: C pointer to the first byte; owned by this object until ``close``.
        size: Bytes mapped.
        path: The file.
    """

    def __init__(self, fd: int, size: int, *, path: Path, writable: bool) -> None:
        self.path = path
        self.size = size
        self.fd = fd
        self.at: Any = lib.sa_map(fd, size, int(writable))
        if self.at == ffi.NULL:
            number = ffi.errno
            os.close(fd)
            raise RingError(f"{path} cannot be mapped: {os.strerror(number)}")

    def close(self) -> None:
        """Unmap and close; in a forked child, only forget."""
        at, self.at = self.at, ffi.NULL
        if at != ffi.NULL:
            lib.sa_unmap(at, self.size)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def publish(self) -> None:
        """Give a created segment its name: from now on others find it."""
        _fresh(self.path).rename(self.path)

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes copied from *offset*."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise RingCorrupt(f"{self.path}: read of {size} at {offset} is outside it")
        return bytes(ffi.buffer(ffi.cast("char *", self.at) + offset, size))


def create_segment(path: Path, size: int) -> Segment:
    """
    Create a segment of *size* bytes behind every address, and map it.

    It is found under *path* only after ``publish``, which its creator calls when it is
    formatted: a creator that dies before leaves nothing that a later one would open.
    ``posix_fallocate`` finds out now whether the memory exists: a sparse file on a
    full tmpfs would kill its first writer with SIGBUS much later.

    Raises:
        RingError: If the file system has no room, or does not let us.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fresh = _fresh(path)
    try:
        fresh.unlink(missing_ok=True)  # of one that died here
        fd = os.open(fresh, flags, 0o600)
    except OSError as error:
        is_out = error.errno in (errno.EMFILE, errno.ENFILE)
        raise RingError(
            f"{path} cannot be created: {error.strerror}",
            hint="raise RLIMIT_NOFILE, or close connections"
            if is_out
            else "set runtime_dir to a directory that this user can write",
        ) from error
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        os.close(fd)
        fresh.unlink(missing_ok=True)
        raise _no_room(path, size, error) from error
    return Segment(fd, size, path=path, writable=True)


def open_segment(path: Path, *, writable: bool) -> Segment:
    """
    Map the whole of an existing file.

    Raises:
        RingError: If there is no such file, or it is not a private file of ours.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except OSError as error:
        raise RingError(f"{path} cannot be opened: {error.strerror}") from error
    return adopt_segment(fd, path, writable=writable)


def adopt_segment(fd: int, path: Path, *, writable: bool) -> Segment:
    """Map the whole of an open file; *fd* is closed with the segment."""
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
        os.close(fd)
        raise RingError(f"{path} is not a file of this user")
    if facts.st_size == 0:
        os.close(fd)
        raise RingCorrupt(f"{path} is empty")
    return Segment(fd, facts.st_size, path=path, writable=writable)


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _no_room(path: Path, size: int, error: OSError) -> RingError:
    if error.errno == errno.EFBIG:
        import resource  # which not every platform has

        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return RingError(
            f"a file may have {most >> 20} MiB here, and {path} needs {size >> 20} MiB",
            hint="raise RLIMIT_FSIZE (ulimit -f), or lower slots and arena_bytes",
        )
    if error.errno != errno.ENOSPC:
        return RingError(f"{path} cannot be filled: {error.strerror}")
    free = os.statvfs(path.parent)
    left = free.f_bavail * free.f_frsize
    return RingError(
        f"{path.parent} has {left >> 20} MiB left, {size >> 20} MiB are needed",
        hint="lower slots and arena_bytes, enlarge /dev/shm, or set runtime_dir",
    )
