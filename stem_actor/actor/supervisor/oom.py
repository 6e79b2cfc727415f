"""The kernel's own count of processes that it killed for want of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["OomWatch"]

_CGROUPS: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")


class OomWatch:
    """
    Tells whether the kernel has struck in this process's control group.

    Args:
        cgroups: Where control groups are mounted, of either hierarchy.
        membership: The file that names this process's groups.
    """

    def __init__(
        self, cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP
    ) -> None:
        self._cgroups = cgroups
        self._membership = membership
        self._seen = self._count() or 0

    def has_struck(self) -> bool:
        """Return whether the count has grown since this was last asked."""
        count = self._count()
        if count is None:
            return False  # and what was seen stays: it is not news the next time
        before, self._seen = self._seen, count
        return count > before

    def _count(self) -> int | None:
        """The count; None where it cannot be read now, or never."""
        for file in self._files():
            try:
                lines = file.read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
        return None

    def _files(self) -> Iterator[Path]:
        try:
            lines = self._membership.read_text().splitlines()
        except OSError:
            return
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield self._cgroups / path.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                root = self._cgroups / "memory"
                yield root / path.lstrip("/") / "memory.oom_control"
                # A container may see its own group as the root, by another path.
                yield root / "memory.oom_control"
