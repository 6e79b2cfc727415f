"""Meeting: the way from a ring's directory to its supervisor's first welcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from stem_actor.actor.host.line import ControlLine, Welcome
from stem_actor.actor.host.outage import Outage
from stem_actor.actor.host.waker import LoopWaker
from stem_actor.errors import BrokerUnavailable, RingError
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.native import require

__all__ = ["Meeting"]

_LOOK_S: Final = 0.02


class Meeting:
    """
    What a connection begins with; taken in steps of which none waits, so that an event
    loop can go there too.

    Args:
        directory: Of the ring.
        revive: See ``Connection``.

    Attributes:
        welcome: What the supervisor has said; None: nothing yet.
    """

    def __init__(
        self, directory: RingDirectory, *, revive: Callable[[], None] | None = None
    ) -> None:
        require()
        self.directory = directory
        self.line = ControlLine(directory)
        self.outage = Outage(directory, self.line, revive)
        self.waker = LoopWaker()
        self.welcome: Welcome | None = None

    def step(self) -> bool:
        """
        Go on as far as can be without waiting; whether the supervisor has answered.

        Raises:
            RingError: If it takes no more producers, and says why.
            BrokerUnavailable: If there can be none.
        """
        if self.welcome is None:
            self.welcome = self.line.redial(self.waker.fd, None)
        if self.welcome is None:
            if self.line.refusal is not None:
                raise RingError(self.line.refusal)
            self.outage.go_on()
        return self.welcome is not None

    def wait(self, timeout_s: float) -> None:
        """
        Wait for the welcome.

        Raises:
            RingError: See ``step``.
            BrokerUnavailable: Likewise, or if there was no answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self.step():
            if time.monotonic() >= deadline:
                raise self.no_answer()
            self.line.pause(_LOOK_S)

    def no_answer(self) -> BrokerUnavailable:
        """Return the error that says what is missing."""
        if self.directory.owner() is not None:
            return BrokerUnavailable(
                f"the supervisor of the ring at {self.directory.path} lives, and does "
                "not answer",
                hint="try again; look with stem-actor health",
            )
        return BrokerUnavailable(
            f"no supervisor runs the ring at {self.directory.path}",
            hint=self.line.last_words(),
        )

    def close(self) -> None:
        """Give up."""
        self.line.close()
        self.waker.close()
