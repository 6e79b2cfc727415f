"""
The descriptors of a process: those that it inherits by a fork, and those that are left.

What is shared with the host through the kernel (sockets, pipes, epoll, eventfd,
timerfd, signalfd, inotify, pidfd) becomes a *tombstone*: its number stays taken and
every use gives EBADF. Left open, a child's ``transport.close()`` on a shared epoll
stops the host from ever reading that socket, and a peer never sees the end of its
stream; closed outright, the numbers are used again and the old owners close
strangers. Regular files and devices stay.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Set as AbstractSet


def entomb(keep: AbstractSet[int]) -> list[str]:
    """
    Turn shared descriptors above 2 into tombstones, except those in *keep*.

    Returns:
        The connections among them by name, as ``"AF_INET 10.0.0.7:5432 (fd 9)"``.
    """
    lost: list[str] = []
    tombstone = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
    for number in sorted(map(int, os.listdir("/proc/self/fd"))):
        if number <= 2 or number == tombstone or number in keep:
            continue
        if not _is_shared(number):
            continue
        name = _peer_of(number)
        if name is not None:
            lost.append(f"{name} (fd {number})")
        os.dup2(tombstone, number, inheritable=False)
    os.close(tombstone)
    return lost


def silence_stdin() -> None:
    """Make descriptor 0 /dev/null, and 1 and 2 too where the host has closed them."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    for number in (1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(null, number)
    if null > 2:
        os.close(null)


def are_left(count: int) -> bool:
    """Return whether *count* more descriptors can be opened now."""
    found: list[int] = []
    try:
        for _ in range(count):
            found.append(os.dup(0))
    except OSError:
        return False
    else:
        return True
    finally:
        for number in found:
            os.close(number)


def _is_shared(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
        target = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return False  # gone: it was the descriptor of the listing
    if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode):
        return True
    # A pidfd has a file system of its own since Linux 6.9.
    return target.startswith(("anon_inode:", "pidfd:"))


def _peer_of(number: int) -> str | None:
    """Name the peer of a connected socket; None for pairs, listeners and the rest."""
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        return None
    with socket.socket(fileno=os.dup(number)) as copy:
        try:
            peer = copy.getpeername()
        except OSError:
            return None
        family = socket.AddressFamily(copy.family).name
    if isinstance(peer, tuple):
        return f"{family} {peer[0]}:{peer[1]}"
    return f"{family} {os.fsdecode(peer)}" if peer else None
