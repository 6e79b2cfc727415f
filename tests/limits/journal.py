"""Journal: what handlers have said, in order, whatever became of their process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Journal"]


@dataclass(frozen=True)
class Journal:
    """A file that handlers append to, one word or phrase a line."""

    file: Path

    @property
    def path(self) -> str:
        """What a handler is given."""
        return str(self.file)

    @property
    def words(self) -> list[str]:
        """Everything said so far."""
        return self.file.read_text().splitlines() if self.file.exists() else []
