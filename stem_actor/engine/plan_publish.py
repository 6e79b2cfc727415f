"""PlanPublisher: from a canvas tree to one record that holds all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from stem_actor.engine.lane import Frame, RingLane
from stem_actor.engine.plan_document import (
    PLAN_TASK,
    STEPS_MAX,
    PlanDocument,
    StepDocument,
    pack_plan,
)
from stem_actor.engine.publish import Publisher
from stem_actor.errors import CanvasError, PayloadError
from stem_actor.ids import new_id
from stem_actor.model.duration import Duration, to_ns
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.wire import pack_args
from stem_actor.policy.plan import Chain, Chord, Group, Shape, Step, Tree, plan_of
from stem_actor.ring.record import WHOLE, TaskHead, unpack_record
from stem_actor.tasks.exceptions import ExceptionCatalog
from stem_actor.tasks.outcome import (
    OutcomeReader,
)
from stem_actor.tasks.parts import unpack_parts
from stem_actor.tasks.ports import ResultSource
from stem_actor.tasks.signature import CallStep

__all__ = ["PlanPublisher", "PlanReader", "PublishedPlan"]

_TIMEOUT_S: Final = 5.0
_QUEUE: Final = "default"


@dataclass(frozen=True, slots=True)
class PlanReader:
    """
    How the value of a canvas is read; see ``tasks.handle.Reader``.

    Attributes:
        shape: What it is made of.
        readers: Of the steps, by their number.
        exceptions: What may be rebuilt from an error.
        encoders: What decodes its parts.
    """

    shape: Shape
    readers: Mapping[int, OutcomeReader]
    exceptions: ExceptionCatalog
    encoders: TaskPayloadEncoderRegistry

    def value(self, payload: bytes) -> tuple[Any, object, Mapping[str, object]]:
        """
        Return the value as the handlers returned it, as it was stored, and no meta.

        Raises:
            PayloadError: If a part of it cannot be read.
        """
        value, raw = self._read(self.shape, unpack_parts(payload))
        return value, raw, {}

    def _read(self, shape: Shape, parts: object) -> tuple[Any, Any]:
        """Return the value and what was stored, each part decoded once for both."""
        if isinstance(shape, int) and isinstance(parts, bytes):
            value, raw, _meta = self.readers[shape].value(parts)
            return value, raw
        if isinstance(shape, int) or not isinstance(parts, list):
            raise PayloadError("a part of it is no result", path="payload")
        if len(parts) != len(shape):
            raise PayloadError(
                f"it has {len(parts)} parts instead of {len(shape)}", path="payload"
            )
        pairs = [self._read(it, part) for it, part in zip(shape, parts, strict=True)]
        return [value for value, _ in pairs], [raw for _, raw in pairs]


@dataclass(frozen=True, slots=True)
class PublishedPlan:
    """
    A canvas that was submitted.

    Attributes:
        task_id: Of the whole.
        ticket: By which its end will come.
        source: Where from.
        reader: How its value is read.
        part_ids: Of its tasks, in the order of the tree.
    """

    task_id: bytes
    ticket: int
    source: ResultSource
    reader: PlanReader
    part_ids: tuple[bytes, ...]


class PlanPublisher:
    """Submits canvas trees for one app."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def publish(
        self,
        tree: Tree[CallStep],
        *,
        task_id: bytes | None = None,
        enqueue_timeout: Duration = _TIMEOUT_S,
    ) -> PublishedPlan:
        """
        Check every part of *tree*, and submit it as one record.

        Args:
            tree: What is to be run.
            task_id: Of the whole; None: a fresh one.
            enqueue_timeout: Longest wait for room.

        Raises:
            TaskNotRegistered: If a task of it is not known here.
            CanvasError: If it has more than 100,000 tasks.
            QueueFull: If there was no room.
        """
        plan = plan_of(tree)
        if len(plan.steps) > STEPS_MAX:
            raise CanvasError(
                f"a canvas of {len(plan.steps):,} tasks, {STEPS_MAX:,} are allowed",
                hint="enqueue several",
            )
        whole = new_id() if task_id is None else task_id
        lanes = [self._publisher.lane_of(step.call.call) for step in plan.steps]
        steps = tuple(
            self._step(step, lane, whole)
            for step, lane in zip(plan.steps, lanes, strict=True)
        )
        joins = tuple((join.awaits, join.shape) for join in plan.joins)
        document = PlanDocument(1, _kind_of(tree), steps, joins)
        shape = plan.joins[plan.result].shape
        readers = {number: lanes[number].reader for number in _leaves(shape)}
        publisher = self._publisher
        reader = PlanReader(shape, readers, publisher.exceptions, publisher.encoders)
        frame = self._frame(lanes)
        head = TaskHead(name=PLAN_TASK, queue=_QUEUE, ties=WHOLE, task_id=whole)
        sent, ticket = frame.submitter.submit(
            head.pack(), pack_plan(document), queue=_QUEUE,
            timeout_ns=to_ns(enqueue_timeout, "enqueue_timeout"),
        )  # fmt: skip
        ids = tuple(step.task_id for step in steps)
        return PublishedPlan(sent, ticket, frame.source, reader, ids)

    # --- inside

    def _frame(self, lanes: list[RingLane]) -> Frame:
        """Return a frame, for where it goes; without a step, to the app's ring."""
        if lanes:
            return lanes[0].frame(None, None, None)
        publisher = self._publisher
        return Frame(b"", pack_args, b"", publisher.submitter, publisher.source, 0)

    def _step(self, step: Step[CallStep], lane: RingLane, whole: bytes) -> StepDocument:
        call, into = step.call.call, step.call.into
        meta = {**call.meta, "canvasId": whole.hex(), "canvasPath": list(step.path)}
        now_ns = self._publisher.clock.wall_ns()
        frame = lane.frame(call.headers, meta, call.not_before)
        head, delay_ns = unpack_record(frame.head).head, 0
        if step.after is not None and not _is_absolute(step.call):
            # How long after it may run, which is not known yet.
            delay_ns = max(0, head.not_before_ns - now_ns)
            head = replace(head, not_before_ns=0)
        return StepDocument(
            task_id=new_id(),
            after=step.after,
            into=into if step.takes else None,
            delay_ns=delay_ns,
            head=head.pack(),
            body=frame.body(dict(call.args)),
            path=step.path,
        )


def _is_absolute(step: CallStep) -> bool:
    """Whether a call says at which instant, and not after what time, it may start."""
    options = step.call.enqueue_options
    if options is not None and options.eta is not None:
        return True
    has_countdown = options is not None and options.countdown is not None
    return not has_countdown and isinstance(step.call.not_before, datetime)


def _kind_of(tree: Tree[CallStep]) -> str:
    match tree:
        case Chain():
            return "chain"
        case Chord():
            return "chord"
        case Group():
            return "group"
        case _:
            return "task"


def _leaves(shape: Shape) -> list[int]:
    if isinstance(shape, int):
        return [shape]
    return [number for part in shape for number in _leaves(part)]
