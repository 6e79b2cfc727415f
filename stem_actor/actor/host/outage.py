"""Outage: the time in which a producer finds no supervisor."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from stem_actor.actor.host.line import ControlLine
from stem_actor.errors import BrokerUnavailable
from stem_actor.ring.directory import RingDirectory

__all__ = ["Outage"]

_SAY_NS: Final = 10 * 10**9

_log = logging.getLogger("stem_actor")


class Outage:
    """
    What is done while there is nobody at the other end of a line.

    Args:
        directory: Of the ring.
        line: The line.
        revive: See ``Connection``.
    """

    def __init__(
        self,
        directory: RingDirectory,
        line: ControlLine,
        revive: Callable[[], None] | None,
    ) -> None:
        self._directory = directory
        self._line = line
        self._revive = revive
        self._since_ns = 0

    def end(self) -> None:
        """There is a supervisor again."""
        self._since_ns = 0

    def go_on(self) -> None:
        """
        Take a step towards a supervisor; every 10 s say in the log that there is none.

        Raises:
            BrokerUnavailable: If there can be none.
            StemError: Why a new one did not come up.
        """
        now = time.monotonic_ns()
        self._since_ns = self._since_ns or now
        path = self._directory.path
        if now - self._since_ns > _SAY_NS:
            self._since_ns = now
            why = self._line.last_words()
            _log.warning("no supervisor has run the ring at %s for 10 s; %s", path, why)
        if not self._line.is_absent:
            return
        if self._revive is not None:
            self._revive()
        elif not path.exists():
            raise BrokerUnavailable(f"the ring at {path} is gone")
