"""The station: the parts of a running supervisor, for those who serve requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from stem_actor.actor.supervisor.canvas_store import CanvasStore
from stem_actor.actor.supervisor.canvases import Canvases
from stem_actor.actor.supervisor.crew import Crew
from stem_actor.actor.supervisor.dead_letters import DeadLetterStore
from stem_actor.actor.supervisor.events import EventHub
from stem_actor.actor.supervisor.letter_box import LetterBox
from stem_actor.actor.supervisor.limits import Limits
from stem_actor.actor.supervisor.producers import Producers
from stem_actor.actor.supervisor.spool_keeper import SpoolKeeper
from stem_actor.actor.supervisor.unreadable import Unreadable
from stem_actor.actor.tree.config import SupervisorConfig
from stem_actor.clock import Clock
from stem_actor.ring.core import Core
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.spool import Spool

__all__ = ["Station"]


@dataclass(slots=True)
class Station:
    """
    Everything that the control socket and the drain work with.

    Attributes:
        pump: Lets the core work now; call it after each change of its state.
        stop: Ends the tree.
        recovered: What the last recovery found, by kind.
        is_deaf: Whether there are no descriptors left for new connections.
        pauses: How often that has come to be.
        spool: Removes files that no task needs any more.
        letters: On their way into ``dead_letters``.
        unreadable: Gives tasks up that make no sense.
        canvases: Runs what consists of tasks.
    """

    directory: RingDirectory
    config: SupervisorConfig
    clock: Clock
    loop: asyncio.AbstractEventLoop
    core: Core
    crew: Crew
    limits: Limits
    producers: Producers
    dead_letters: DeadLetterStore
    hub: EventHub
    pump: Callable[[], None]
    stop: Callable[[], None]
    recovered: dict[str, int] = field(default_factory=dict)
    is_deaf: bool = False
    pauses: int = 0
    spool: SpoolKeeper = field(init=False)
    unreadable: Unreadable = field(init=False)
    letters: LetterBox = field(init=False)
    canvases: Canvases = field(init=False)

    def __post_init__(self) -> None:
        self.spool = SpoolKeeper(
            self.directory.spool, self.core, self.dead_letters, self.loop, self.clock
        )
        self.unreadable = Unreadable(self.core, self.limits)
        self.letters = LetterBox(
            self.core, self.dead_letters, self.loop, self.spool.drop,
            self.unreadable.note,
        )  # fmt: skip
        self.canvases = Canvases(
            self.core,
            CanvasStore(self.directory.canvases),
            Spool(self.directory.spool, self.config.max_payload),
            self.loop, self.clock, self.pump,
        )  # fmt: skip
