"""Autopsy: what the process of a dead worker tells of its end."""

from __future__ import annotations

import os
import signal
import struct
from typing import Final

from stem_actor.actor.supervisor.cause import Cause
from stem_actor.actor.supervisor.member import Member
from stem_actor.actor.supervisor.oom import OomWatch
from stem_actor.actor.tree.signals import LAST_WORDS_SIGNAL, SOFT_SIGNAL
from stem_actor.actor.tree.verbs import Message
from stem_actor.actor.worker.last_words import read_last_words
from stem_actor.clock import Clock
from stem_actor.ring.core import NO_SLOT, Core, Fault
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.mailbox import Stop
from stem_actor.ring.native import ffi, lib

__all__ = ["Autopsy"]

_LOW: Final = 0xFFFFFFFF
#: Where the ring of a worker says when it last looked for a task.
_BEAT_AT: Final = 1280


class Autopsy:
    """Reads the guardian's message of a death, the worker's ring and its last words."""

    def __init__(self, directory: RingDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._ooms = OomWatch()

    @staticmethod
    def blame(member: Member, core: Core, status: int | None) -> tuple[int, int]:
        """
        Return the ``Fault`` of a death, and the slot that it was for; ``NO_SLOT``: all.

        Args:
            member: The worker; what it ran is in ``began_ns``.
            core: Not yet told.
            status: How it ended, if that is known.
        """
        if member.kill_fault:
            return member.kill_fault, member.kill_slot
        for doom in member.doomed.values():  # its last words have killed it
            member.kill_fault, member.kill_slot = doom.fault, doom.slot
            member.kill_reason = doom.reason
            return doom.fault, doom.slot
        number = None
        if status is not None and os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
        if not member.is_signalled or number not in (SOFT_SIGNAL, LAST_WORDS_SIGNAL):
            # In a worker of one task at a time what was started is what crashed; the
            # core tells the starts of a concurrent one apart by the coroutine's cell.
            return Fault.CRASH, NO_SLOT
        for slot, starts, stop in member.asked.values():
            is_on = slot in member.began_ns and core.slot(slot).starts == starts
            if is_on and stop == Stop.SOFT and number == SOFT_SIGNAL:
                return Fault.SOFT, slot
        return Fault.COLLATERAL, NO_SLOT

    def cause_of(self, member: Member, message: Message) -> Cause:
        """Return the cause of the death of *member* that *message* tells of."""
        status = message.value
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        before = ffi.new("struct sa_usage *")
        lib.sa_worker_used(member.ring.at, before)
        is_ours = member.kill_fault != Fault.NONE
        return Cause(
            signal=number,
            exit_status=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            # Asked of unexplained kills alone: another death must not use it up.
            oom=number == signal.SIGKILL and not is_ours and self._ooms.has_struck(),
            words=read_last_words(self._directory.last_words(member.index)),
            reason=member.kill_reason,
            worker=member.index,
            pid=message.pid,
            cpu_ns=max(0, message.a + message.b - int(before.cpu_ns)),
            peak_rss=message.c * 1024,
            minor_faults=max(0, (message.d >> 32) - int(before.minor_faults)),
            major_faults=max(0, (message.d & _LOW) - int(before.major_faults)),
            began_ns=dict(member.began_ns),
            past_soft=frozenset(member.past_soft.values()),
            ended_ns=self._clock.monotonic_ns(),
            limits_ns=dict(member.limits_ns),
            descendants=member.descendants,
            swept=None,
        )

    @staticmethod
    def is_excused(member: Member, cause: Cause) -> bool:
        """Whether a death outside any task says nothing about the next worker."""
        if member.is_leaving or member.kill_fault != Fault.NONE:
            return True
        if cause.signal == signal.SIGKILL and not cause.oom:
            # Struck from outside; but one that never looked for a task may have
            # been so for what it did while it came up.
            (beat_ns,) = struct.unpack("<Q", member.ring.read(_BEAT_AT, 8))
            return bool(beat_ns > member.asked_ns)
        # A worker that was interrupted leaves by itself, cleanly, after its task.
        return cause.exit_status == 0
