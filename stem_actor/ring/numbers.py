"""The numbers that the core and its Python have in common."""

from __future__ import annotations

from typing import Final

__all__ = ["EventType", "Fault", "Held", "Mark", "State"]


class State:
    """The numbers of ``enum sa_state``."""

    FREE: Final = 0
    READY: Final = 1
    DELAYED: Final = 2
    LEASED: Final = 3
    HELD: Final = 4
    FINISHED: Final = 5
    PARKED: Final = 6
    DRIVEN: Final = 7


class Fault:
    """The numbers of ``enum sa_fault``."""

    NONE: Final = 0
    CRASH: Final = 1
    COLLATERAL: Final = 2
    HARD: Final = 3
    MEMORY: Final = 4
    REVOKED: Final = 5
    CORRUPT: Final = 6
    CPU: Final = 7
    SOFT: Final = 8


class EventType:
    """The numbers of ``enum sa_event_type``."""

    DEAD_LETTER: Final = 1
    FREED_SPOOL: Final = 2
    CORRUPT: Final = 3
    SOFT: Final = 4
    HARD: Final = 5
    HELD: Final = 6
    PARKED: Final = 7
    RETRIED: Final = 8
    METERED: Final = 9
    WATCHED: Final = 10
    DRIVEN: Final = 11
    TIED: Final = 12


class Held:
    """The numbers of ``enum sa_held``: how a start that is HELD came to its end."""

    LOST: Final = 0
    BEFORE: Final = 1
    TOLD: Final = 2


class Mark:
    """Those bits of ``enum sa_mark`` that Python looks at."""

    FORBIDDEN: Final = 128
