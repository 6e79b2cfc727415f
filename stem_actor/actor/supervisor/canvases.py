"""Canvases: runs the parts of each in their order, and says what becomes of it."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from stem_actor.actor.supervisor.canvas_store import CanvasStore, PartEnd
from stem_actor.actor.supervisor.parting import say
from stem_actor.clock import Clock
from stem_actor.engine.plan_document import PlanDocument, StepDocument, unpack_plan
from stem_actor.engine.plan_outcome import cancelled, failed, refused, succeeded
from stem_actor.errors import PayloadError, QueueFull, RingCorrupt
from stem_actor.policy.course import Course, StepState
from stem_actor.policy.plan import Plan, assemble
from stem_actor.ring.core import Core, Event, SlotView, State
from stem_actor.ring.native import Status, lib
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import HANDED, PART, SPOOLED, unpack_record
from stem_actor.ring.spool import INLINE_MAX, Spool, is_claim, result_name
from stem_actor.tasks.handing import pack_handed

__all__ = ["Canvases"]

#: How long until what found no room, or a file that cannot be written, is tried again.
_AGAIN_S: Final = 0.02
_NOTE_AGAIN_S: Final = 1.0
#: The one start of a whole, in the name of the file with its result.
_START: Final = 1


class Loop(Protocol):
    """The part of an event loop that is needed here."""

    def call_later(self, delay: float, callback: Any, *args: Any) -> object: ...


@dataclass(slots=True)
class _Run:
    """
    One canvas.

    Attributes:
        canvas: Its id.
        document: What it is.
        course: How far it is.
        whole: Slot and generation of its whole; None: settled before, or gone.
        ready: Steps that may run and are in no slot yet.
        outcome: What has become of the whole, until its slot says so.
    """

    canvas: bytes
    document: PlanDocument
    plan: Plan[StepDocument]
    course: Course
    whole: tuple[int, int] | None = None
    ready: deque[int] = field(default_factory=deque)
    outcome: tuple[int, bytes] | None = None


class Canvases:
    """
    Everything of it can be done twice: which parts have ended is in the store, which
    of the others run is in the slots, and the rest follows.

    Args:
        core: Holds the slots.
        store: Keeps what has come to an end.
        spool: For what is too large for the ring.
        loop: Tries again what found no room.
        clock: Tells the time for delays.
        pump: Lets the core work.
    """

    def __init__(
        self,
        core: Core,
        store: CanvasStore,
        spool: Spool,
        loop: Loop,
        clock: Clock,
        pump: Callable[[], None],
    ) -> None:
        self._core = core
        self._store = store
        self._spool = spool
        self._loop = loop
        self._clock = clock
        self._pump = pump
        self._runs: dict[bytes, _Run] = {}
        self._parts: dict[bytes, tuple[_Run, int]] = {}
        self._unnoted: list[tuple[int, int]] = []
        self._is_waiting = False
        #: Why ends cannot be written down; None: they can.
        self.problem: str | None = None

    def __len__(self) -> int:
        return len(self._runs)

    def load(self) -> None:
        """Go on with the canvases of a supervisor before this one."""
        for canvas, packed in self._store.canvases():
            run = self._open(canvas, packed)
            run.course.begin()
            # An end is written before what it opens is submitted, so in their order
            # of arrival each finds its step open; they are kept in that of numbers.
            for number, kind in self._store.ends(canvas):
                run.course.ended(number, is_succeeded=kind == Kind.SUCCEEDED)
            whole = self._core.find(canvas)
            if whole is not None and whole.state == State.DRIVEN:
                run.whole = whole.number, whole.gen
            elif not run.course.is_decided:  # it was revoked
                for task_id in self._abandon(run):
                    self._revoke_part(task_id)
            # Which of these run already, the slots tell.
            states = enumerate(run.course.states)
            run.ready = deque(n for n, state in states if state is StepState.OPEN)
            self._advance(run)

    def on_driven(self, event: Event) -> None:
        """A whole was admitted."""
        slot = self._core.slot(event.slot)
        if slot.gen != event.gen or slot.state != State.DRIVEN:
            return
        canvas = slot.task_id
        if canvas in self._runs:  # loaded: the store knew it
            return
        try:
            task = unpack_record(self._core.record(slot))
            packed = task.body
            if task.head.flags & SPOOLED:
                packed = self._spool.get(packed)
            run = self._open(canvas, packed)
            self._store.begin(canvas, packed)
        except (PayloadError, RingCorrupt, UnicodeDecodeError) as error:
            self._settle((slot.number, slot.gen), *refused(error))
            return
        except sqlite3.Error as error:
            self._close(canvas)
            self._note_problem(error)
            self._loop.call_later(_NOTE_AGAIN_S, self.on_driven, event)
            return
        run.whole = slot.number, slot.gen
        run.ready.extend(run.course.begin().opened)
        self._advance(run)

    def on_ended(self, events: Sequence[Event]) -> None:
        """Parts have ended: write that down, let their slots go, and go on."""
        self._unnoted += [(event.slot, event.gen) for event in events]
        if self.problem is None:
            self._note()

    def revoke(self, slot: SlotView, reason: str) -> Sequence[bytes] | None:
        """
        Cancel a whole: nothing of it opens any more.

        Returns:
            The ids of its parts that wait or run, which are the caller's to end; None:
            what has become of it is decided already.
        """
        run = self._runs.get(slot.task_id)
        if run is None:
            self._settle((slot.number, slot.gen), *cancelled(reason))
            return []
        if run.outcome is not None:
            return None
        left = self._abandon(run)
        run.outcome = cancelled(reason)
        self._advance(run)
        return left

    def counts(self, canvas: bytes) -> dict[str, int] | None:
        """Return how many parts are in which state; None: it is not known here."""
        run = self._runs.get(canvas)
        if run is None:
            return None
        found = {state.value: 0 for state in StepState}
        for state in run.course.states:
            found[state.value] += 1
        return found

    # --- ends

    def _note(self) -> None:
        """Write down every end that waits for it, in one transaction."""
        slots = [it for it in map(self._ended_slot, self._unnoted) if it is not None]
        ends: list[tuple[_Run, PartEnd]] = []
        for slot in slots:
            known = self._parts.get(slot.task_id)
            if known is not None:  # else its canvas is over, or was never one
                run, number = known
                payload = self._outcome_of(slot)
                ends.append((run, PartEnd(run.canvas, number, slot.out_kind, payload)))
        try:
            self._store.note(end for _run, end in ends)
        except sqlite3.Error as error:
            self._note_problem(error)
            self._loop.call_later(_NOTE_AGAIN_S, self._note)
            return
        self.problem, self._unnoted = None, []
        for slot in slots:
            lib.sa_core_end_noted(self._core.handle, slot.number, slot.gen)
        for run, end in ends:
            is_succeeded = end.kind == Kind.SUCCEEDED
            run.ready.extend(
                run.course.ended(end.number, is_succeeded=is_succeeded).opened
            )
        for run in {id(run): run for run, _end in ends}.values():
            self._advance(run)

    def _ended_slot(self, key: tuple[int, int]) -> SlotView | None:
        slot = self._core.slot(key[0])
        return slot if (slot.gen, slot.state) == (key[1], State.FINISHED) else None

    def _outcome_of(self, slot: SlotView) -> bytes:
        """What the end of a part carries, out of its file if it lies in one."""
        payload = self._core.outcome(slot)
        try:
            return self._spool.get(payload) if is_claim(payload) else payload
        except PayloadError as error:
            say(f"the result of a part of a canvas is lost: {error}")
            return b""

    def _note_problem(self, error: sqlite3.Error) -> None:
        if self.problem is None:
            say(f"canvases: {error}")
        self.problem = f"what canvases have come to cannot be written: {error}"

    # --- the whole

    def _decide(self, run: _Run) -> None:
        """Work out what has become of the whole, once that is known."""
        if run.outcome is not None or not run.course.is_decided or run.whole is None:
            return
        course = run.course
        if course.culprit is not None:
            step = run.document.steps[course.culprit]
            payload = self._store.payload(run.canvas, course.culprit)
            run.outcome = failed(run.document.kind, step, payload)
            return
        shape = run.plan.joins[run.plan.result].shape
        run.outcome = succeeded(assemble(shape, self._value_of(run)))

    def _value_of(self, run: _Run) -> Callable[[int], bytes]:
        return lambda number: self._store.payload(run.canvas, number)

    def _advance(self, run: _Run) -> None:
        """Submit what may run, settle what is decided, forget what is over."""
        try:
            self._advance_far(run)
        except sqlite3.Error as error:
            self._note_problem(error)
            self._try_again()

    def _advance_far(self, run: _Run) -> None:
        while run.ready:
            if not self._submit(run, run.ready[0]):
                self._try_again()
                return
            run.ready.popleft()
        self._decide(run)
        if run.outcome is not None and run.whole is not None:
            run.outcome = self._stowed(run.canvas, *run.outcome)
            if not self._settle(run.whole, *run.outcome):
                self._try_again()
                return
            run.whole = None
        if run.course.is_over and run.whole is None:
            self._store.forget(run.canvas)
            self._close(run.canvas)

    def _stowed(self, canvas: bytes, kind: int, payload: bytes) -> tuple[int, bytes]:
        """Move what is too large for the ring to the spool."""
        if len(payload) <= INLINE_MAX:
            return kind, payload
        name = result_name(canvas, _START)
        try:
            return kind, self._spool.put(name, payload, path="result")
        except PayloadError as error:
            return refused(error)

    def _settle(self, key: tuple[int, int], kind: int, payload: bytes) -> bool:
        rc = lib.sa_core_settle_driven(
            self._core.handle, *key, kind, payload, len(payload), is_claim(payload)
        )
        return bool(rc != Status.FULL)

    # --- parts

    def _submit(self, run: _Run, number: int) -> bool:
        """Put a step into a slot; False: there is no room now."""
        step = run.document.steps[number]
        if self._core.find(step.task_id) is not None:
            return True  # a supervisor before this one has
        try:
            record = self._record_of(run, step)
        except QueueFull:
            return False
        except (PayloadError, RingCorrupt, UnicodeDecodeError) as error:
            self._fail(run, number, error)
            return True
        rc = lib.sa_core_submit(self._core.handle, record, len(record))
        if rc == Status.FULL:
            self._discard(record)
            return False
        if rc != Status.OK:
            self._fail(run, number, RingCorrupt(f"step {number} is no task record"))
        return True

    def _record_of(self, run: _Run, step: StepDocument) -> bytes:
        task = unpack_record(step.head)
        head = replace(task.head, ties=PART, task_id=step.task_id)
        body = step.body
        if step.into is not None and step.after is not None:
            shape = run.plan.joins[step.after].shape
            payloads = assemble(shape, self._value_of(run))
            body = pack_handed(head.kind, body, step.into, payloads)
            head = replace(head, kind=HANDED)
        if step.delay_ns:
            head = replace(head, not_before_ns=self._clock.wall_ns() + step.delay_ns)
        packed, body = self._spool.stow(head.pack(), body)
        return _with_body(packed, body)

    def _discard(self, record: bytes) -> None:
        task = unpack_record(record)
        if task.head.flags & SPOOLED:
            self._spool.discard(task.body)

    def _fail(self, run: _Run, number: int, error: Exception) -> None:
        """A step that cannot be submitted has failed."""
        _kind, payload = refused(error)
        self._store.note([PartEnd(run.canvas, number, Kind.FAILED, payload)])
        run.course.ended(number, is_succeeded=False)

    # --- inside

    def _open(self, canvas: bytes, packed: bytes) -> _Run:
        document = unpack_plan(packed)
        plan = document.plan
        run = _Run(canvas, document, plan, Course(plan))
        self._runs[canvas] = run
        for number, step in enumerate(document.steps):
            self._parts[step.task_id] = run, number
        return run

    def _abandon(self, run: _Run) -> list[bytes]:
        """Open nothing more; returns the ids of those parts that have slots."""
        run.course.abandon()
        run.ready.clear()
        left: list[bytes] = []
        for number, step in enumerate(run.document.steps):
            if run.course.states[number] is not StepState.OPEN:
                continue
            if self._core.find(step.task_id) is None:  # there was no room for it
                run.course.ended(number, is_succeeded=False)
            else:
                left.append(step.task_id)
        return left

    def _revoke_part(self, task_id: bytes) -> None:
        slot = self._core.find(task_id)
        _kind, payload = cancelled("revoked")
        if slot is not None:
            lib.sa_core_revoke(
                self._core.handle, slot.number, slot.gen, payload, len(payload)
            )

    def _close(self, canvas: bytes) -> None:
        run = self._runs.pop(canvas, None)
        for step in () if run is None else run.document.steps:
            self._parts.pop(step.task_id, None)

    def _try_again(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._loop.call_later(_AGAIN_S, self._again)

    def _again(self) -> None:
        self._is_waiting = False
        for run in list(self._runs.values()):
            if run.ready or (run.outcome is not None and run.whole is not None):
                self._advance(run)
        self._pump()


def _with_body(head: bytes, body: bytes) -> bytes:
    record = bytearray(head + body)
    record[_BODY_LEN] = len(body).to_bytes(4, "little")
    return bytes(record)


#: Where a packed head has the length of its body.
_BODY_LEN: Final = slice(12, 16)
