"""The directory of one ring: where its files are, and who may run it."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stem_actor.errors import RingError, RingInUse, SettingsError

__all__ = ["RingDirectory", "parse_ring_url", "set_aside"]

_BAD = ".bad"
_BAD_MAX = 3
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SOCKET_MAX = 107  # of ``sun_path``, 108 bytes with its end

_FLOCK = struct.Struct("hhqqi4x")  # type, whence, start, length, pid
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_PID_CHARS = 20
_LOOKS_MAX = 20
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class RingDirectory:
    """
    A private directory (0700) that holds the files of one ring (0600).

    Attributes:
        path: The directory.
        is_anonymous: Whether it goes with its owner.
    """

    path: Path
    is_anonymous: bool

    @property
    def core(self) -> Path:
        return self.path / "core.seg"

    @property
    def bell(self) -> Path:
        return self.path / "bell.page"

    @property
    def socket(self) -> Path:
        return self.path / "ctl.sock"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def dead_letters(self) -> Path:
        return self.path / "dead.db"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    @property
    def canvases(self) -> Path:
        return self.path / "canvas.db"

    @property
    def quarantine(self) -> Path:
        return self.path / "quarantine"

    @property
    def log(self) -> Path:
        return self.path / "supervisor.log"

    def worker_ring(self, index: int) -> Path:
        return self.path / f"w-{index:04d}.ring"

    def worker_ring_count(self) -> int:
        """How many worker indexes have, or had, a ring; 0 before the first start."""
        rings = self.path.glob("w-*.ring")
        return max((int(path.stem.removeprefix("w-")) + 1 for path in rings), default=0)

    def producer_ring(self, ring_id: int, pid: int, born: int) -> Path:
        """
        The ring of a producer. Its pid, and its birth in clock ticks since boot, tell
        a later supervisor whose it is, as pids are given again.
        """
        return self.path / f"p-{ring_id:010d}-{pid}-{born}.ring"

    def producer_rings(self) -> list[Path]:
        """The ring files that producers have, oldest id first."""
        return sorted(self.path.glob("p-*.ring"))

    def last_words(self, index: int) -> Path:
        """Where the interpreter of worker *index* writes when it crashes."""
        return self.path / f"w-{index:04d}.stack"

    def create(self) -> None:
        """
        Make the directory, or check the one that is there.

        Raises:
            RingError: If it cannot be made, or belongs to somebody else, or others
                can read it.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.parent == _runtime_root():  # it lies where anybody may write
                _check(self.path.parent)
            self.path.mkdir(mode=0o700, exist_ok=True)
            _check(self.path)
            self.spool.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise RingError(
                f"{self.path} cannot be created: {error.strerror}",
                hint="set runtime_dir to a directory that this user can write",
            ) from error

    def take_lock(self) -> int:
        """
        Lock the ring for the one supervisor it may have; returns the held fd.

        The kernel drops the lock with its holder, however that one dies. It belongs
        to the open file, as that of ``flock`` does, but others can ask for it without
        taking it, not even for a moment.

        Raises:
            RingInUse: If another process holds it; names its pid.
            OSError: If the file cannot be made or written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.lock, flags, 0o600)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)
            # Never truncated: on a full disk its block may not come back.
            os.pwrite(fd, f"{os.getpid():<{_PID_CHARS}}".encode(), 0)
        except (BlockingIOError, PermissionError):
            owner = _holder_of(fd)
            os.close(fd)
            raise RingInUse(owner or 0, path=str(self.path)) from None
        except BaseException:
            os.close(fd)
            raise
        return fd

    def owner(self) -> int | None:
        """The pid of the running supervisor, or None."""
        try:
            fd = os.open(self.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return _holder_of(fd)
        finally:
            os.close(fd)


def parse_ring_url(url: str, runtime_dir: str | Path | None = None) -> RingDirectory:
    """
    Return the directory that a ``ring://`` URL means.

    ``ring://`` is anonymous; ``ring://NAME`` lies below *runtime_dir*;
    ``ring:///path`` is that directory.

    Raises:
        SettingsError: If the URL is no ring URL, the name has odd characters, or the
            path is too long for a socket.
    """
    parts = urlsplit(url)
    if parts.scheme != "ring" or parts.query or parts.fragment:
        raise SettingsError([f"{url!r} is not a ring URL"], hint='use "ring://NAME"')
    if parts.path not in ("", "/") and not parts.netloc:
        return _short(RingDirectory(Path(parts.path), is_anonymous=False))
    root = Path(runtime_dir) if runtime_dir is not None else _runtime_root()
    if not parts.netloc:
        name = f"anon-{os.getpid()}-{secrets.token_hex(6)}"
        return _short(RingDirectory(root / name, is_anonymous=True))
    is_name = _NAME.fullmatch(parts.netloc) and parts.netloc not in (".", "..")
    if not is_name or parts.path not in ("", "/"):
        raise SettingsError(
            [f"{parts.netloc + parts.path!r} is not a ring name"],
            hint="use 1 to 100 letters, digits, '_', '.' or '-'",
        )
    return _short(RingDirectory(root / parts.netloc, is_anonymous=False))


def set_aside(path: Path) -> None:
    """Keep a ring that cannot be used for diagnosis, as ``.bad``: the latest three."""
    path.rename(path.with_suffix(_BAD))
    kept = sorted(path.parent.glob(f"*{_BAD}"), key=lambda it: it.stat().st_ctime_ns)
    for old in kept[:-_BAD_MAX]:
        old.unlink(missing_ok=True)


def _short(directory: RingDirectory) -> RingDirectory:
    """Refuse a path that the kernel could not bind the control socket to."""
    size = len(os.fsencode(directory.socket.absolute()))
    if size > _SOCKET_MAX:
        raise SettingsError(
            [
                f"the path {directory.socket.absolute()} has {size} bytes, and that of "
                f"a socket at most {_SOCKET_MAX}"
            ],
            hint="choose a shorter runtime_dir or ring name",
        )
    return directory


def _check(path: Path) -> None:
    """Refuse a directory of somebody else, before anything is put into it."""
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise RingError(
            f"{path} is not a directory of this user",
            hint="remove it, or set runtime_dir to a directory of yours",
        )
    if facts.st_mode & 0o077:
        raise RingError(
            f"{path} is open to other users (mode {stat.S_IMODE(facts.st_mode):o})",
            hint=f"chmod 700 {path}",
        )


def _runtime_root() -> Path:
    """
    The default place of rings: shared memory, one directory a user.

    Not ``$XDG_RUNTIME_DIR``: logind empties it at the last logout, under a running
    service of that user.
    """
    shared = Path("/dev/shm")
    root = shared if shared.is_dir() else Path("/tmp")  # noqa: S108 - the same
    return root / f"stem-{os.geteuid()}"


def _holder_of(fd: int) -> int | None:
    """
    Return the pid of the process that holds the lock; None if nobody does, 0 if it
    does not say.

    Whose an open file's lock is the kernel does not tell. Its holder writes it into
    the file a moment after it has the lock; until then a dead one's pid stands there.
    """
    pid = 0
    for _ in range(_LOOKS_MAX):
        if not _is_locked(fd):
            return None
        text = os.pread(fd, _PID_CHARS, 0).decode("ascii", "replace").strip()
        pid = int(text) if text.isdecimal() else 0
        if pid and os.path.exists(f"/proc/{pid}"):
            return pid
        time.sleep(_LOOK_S)  # its holder writes its pid a moment later
    return 0


def _is_locked(fd: int) -> bool:
    found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _WHOLE_FILE)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)
