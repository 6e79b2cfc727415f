"""How many cores a process may keep busy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["usable_cores"]

_CGROUPS: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """
    Return how many cores this process may keep busy all the time, at least 1.

    No more than its affinity mask, and no more than any quota (``cpu.max``) from its
    control group up to the root; a part of a core does not count.

    Args:
        cgroups: Where the unified hierarchy is mounted.
        membership: The file that names this process's group, as ``0::/path``.
    """
    cores = len(os.sched_getaffinity(0))
    for folder in _folders(cgroups, membership):
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                cores = min(cores, int(quota) // int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue  # the root has none, nor has a machine without control groups
    return max(cores, 1)


def _folders(cgroups: Path, membership: Path) -> Iterator[Path]:
    """Yield the folder of this process's group, and of each above it."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    inside = next((line[3:] for line in lines if line.startswith("0::")), "/")
    # A group outside of this namespace shows as "/../…"; its folder is not to be seen.
    parts = [] if ".." in inside else [part for part in inside.split("/") if part]
    for depth in range(len(parts), -1, -1):
        yield cgroups.joinpath(*parts[:depth])
