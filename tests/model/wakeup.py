"""
The bell under store buffers (TSO): can the supervisor sleep on unread records?

Each worker publishes its out_tail, fences, and rings if it sees ``sleeping``; the
supervisor drains, sets ``sleeping``, fences, looks again, and sleeps on an eventfd.
A store waits in its process's buffer until the memory takes it, in order; a fence or
a locked exchange waits until the buffer is empty. The 50 ms sweep is left out on
purpose: a wake-up it would have to repair counts as lost here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from .explore import Report, ViolationError, explore

_BELL = -1  # address of the `sleeping` flag; addresses from 0 are the workers' tails

# A buffered store: (address, value).
Store = tuple[int, int]


class BellMutant(StrEnum):
    """One rule of the bell broken."""

    NO_PRODUCER_FENCE = "no producer fence"
    NO_SUPERVISOR_FENCE = "no supervisor fence"
    NO_RECHECK = "no re-check"
    NO_EXCHANGE = "no exchange"


class Ringer(IntEnum):
    """Where a worker is."""

    PUBLISH = 0
    FENCE = 1
    LOOK = 2
    CLAIM = 3
    WRITE = 4


class Sleeper(IntEnum):
    """Where the supervisor is."""

    DRAIN = 0
    ARM = 1
    FENCE = 2
    RECHECK = 3
    SLEEP = 4


class Peer(NamedTuple):
    """One worker: place, records published, and stores not yet in memory."""

    at: Ringer
    published: int
    buffer: tuple[Store, ...]


class BellState(NamedTuple):
    """Memory, eventfd, the supervisor, the workers, and one ghost."""

    tails: tuple[int, ...]
    sleeping: int
    eventfd: int
    at: Sleeper
    seen: tuple[int, ...]
    buffer: tuple[Store, ...]
    peers: tuple[Peer, ...]
    unrung: int  # ghost: how often the bell was armed, less the writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bell:
    """
    The bell with *workers* ringers of *records* records each.

    Attributes:
        workers: Ringers, from 1.
        records: Records that each publishes, from 1.
        mutant: The rule to break, if any.
        counts_writes: Whether to forbid more eventfd writes than armings.
    """

    workers: int = 2
    records: int = 2
    mutant: BellMutant | None = None
    counts_writes: bool = False

    def explore(self) -> Report[BellState]:
        """Search every state; a stuck one is a lost wake-up."""
        return explore(self._initial(), self._successors, is_finished=self._is_finished)

    def _initial(self) -> BellState:
        nothing = (0,) * self.workers
        peers = (Peer(Ringer.PUBLISH, 0, ()),) * self.workers
        return BellState(nothing, 0, 0, Sleeper.DRAIN, nothing, (), peers, 0)

    def _is_finished(self, state: BellState) -> bool:
        return state.seen == (self.records,) * self.workers

    def _successors(self, state: BellState) -> Iterator[tuple[str, BellState]]:
        if state.buffer:
            flushed = _flush(state, state.buffer[0])
            yield "supervisor store lands", flushed._replace(buffer=state.buffer[1:])
        yield from self._supervisor(state)
        for number, peer in enumerate(state.peers):
            if peer.buffer:
                flushed = _flush(state, peer.buffer[0])
                rest = peer._replace(buffer=peer.buffer[1:])
                yield "worker store lands", _with_peer(flushed, number, rest)
            yield from self._worker(state, number, peer)

    def _worker(
        self, state: BellState, number: int, peer: Peer
    ) -> Iterator[tuple[str, BellState]]:
        home = peer._replace(at=Ringer.PUBLISH)
        if peer.at == Ringer.PUBLISH and peer.published < self.records:
            fences = self.mutant != BellMutant.NO_PRODUCER_FENCE
            published = peer.published + 1
            after = Peer(
                Ringer.FENCE if fences else Ringer.LOOK,
                published,
                (*peer.buffer, (number, published)),
            )
            yield "W6 publish", _with_peer(state, number, after)
        elif peer.at == Ringer.FENCE and not peer.buffer:
            looking = peer._replace(at=Ringer.LOOK)
            yield "W7 fence", _with_peer(state, number, looking)
        elif peer.at == Ringer.LOOK:
            ringing = peer._replace(at=Ringer.CLAIM)
            after = ringing if state.sleeping else home
            yield "W7 look", _with_peer(state, number, after)
        elif peer.at == Ringer.CLAIM:
            yield from self._claim(state, number, peer)
        elif peer.at == Ringer.WRITE:
            unrung = state.unrung - self.counts_writes
            if unrung < 0:
                raise ViolationError("more eventfd writes than armings of the bell")
            rung = state._replace(eventfd=state.eventfd + 1, unrung=unrung)
            yield "W7 write eventfd", _with_peer(rung, number, home)

    def _claim(
        self, state: BellState, number: int, peer: Peer
    ) -> Iterator[tuple[str, BellState]]:
        writing = peer._replace(at=Ringer.WRITE)
        if self.mutant == BellMutant.NO_EXCHANGE:
            yield "W7 no exchange", _with_peer(state, number, writing)
        elif not peer.buffer:  # a locked instruction drains the buffer first
            after = writing if state.sleeping else peer._replace(at=Ringer.PUBLISH)
            claimed = state._replace(sleeping=0)
            yield "W7 exchange", _with_peer(claimed, number, after)

    def _supervisor(self, state: BellState) -> Iterator[tuple[str, BellState]]:
        if state.at == Sleeper.DRAIN:
            yield "S drain", state._replace(at=Sleeper.ARM, seen=state.tails)
        elif state.at == Sleeper.ARM:
            fences = self.mutant != BellMutant.NO_SUPERVISOR_FENCE
            yield (
                "S arm",
                state._replace(
                    at=Sleeper.FENCE if fences else Sleeper.RECHECK,
                    buffer=(*state.buffer, (_BELL, 1)),
                    unrung=state.unrung + self.counts_writes,
                ),
            )
        elif state.at == Sleeper.FENCE and not state.buffer:
            yield "S fence", state._replace(at=Sleeper.RECHECK)
        elif state.at == Sleeper.RECHECK:
            rechecks = self.mutant != BellMutant.NO_RECHECK
            if rechecks and state.tails != state.seen:
                disarmed = (*state.buffer, (_BELL, 0))
                yield (
                    "S re-check finds",
                    state._replace(at=Sleeper.DRAIN, buffer=disarmed),
                )
            else:
                yield "S sleep", state._replace(at=Sleeper.SLEEP)
        elif state.at == Sleeper.SLEEP and state.eventfd:
            yield "S wake", state._replace(at=Sleeper.DRAIN, eventfd=0)


def _flush(state: BellState, store: Store) -> BellState:
    address, value = store
    if address == _BELL:
        return state._replace(sleeping=value)
    tails = (*state.tails[:address], value, *state.tails[address + 1 :])
    return state._replace(tails=tails)


def _with_peer(state: BellState, number: int, peer: Peer) -> BellState:
    peers = (*state.peers[:number], peer, *state.peers[number + 1 :])
    return state._replace(peers=peers)
