"""UNSET: the value of an option nobody has spoken about."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

__all__ = ["UNSET", "Unset"]


class Unset(Enum):
    """
    The type of ``UNSET``; an enum, so that checkers narrow ``value is UNSET``.

    ``None`` cannot take its place: ``None`` is a real value for most options ("no
    limit"), and a call must be able to set an option back to its default.
    """

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


UNSET: Final = Unset.UNSET
