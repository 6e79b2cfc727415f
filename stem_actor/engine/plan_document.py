"""PlanDocument: a canvas on the wire, with everything its parts need to run."""

from __future__ import annotations

from typing import Final

import msgspec

from stem_actor.errors import PayloadError
from stem_actor.policy.plan import Join, Plan, Shape, Step

__all__ = ["PLAN_TASK", "PlanDocument", "StepDocument", "pack_plan", "unpack_plan"]

PLAN_TASK: Final = "stem.canvas"
"""The name under which the whole of a canvas stands in the ring."""

VERSION: Final = 1
STEPS_MAX: Final = 100_000
DEPTH_MAX: Final = 32


class StepDocument(msgspec.Struct, frozen=True, array_like=True):
    """
    One task of a canvas.

    Attributes:
        task_id: Its 16 bytes.
        after: The join that it waits for; None: of none.
        into: The argument that this one's value becomes, ``""``: all of them; None:
            it is handed nothing.
        delay_ns: How long after it may run it is held back.
        head: The packed head of its record (``ring.record.HEAD``, names, options).
        body: Its packed arguments.
        path: Which part of which part of the tree it is.
    """

    task_id: bytes
    after: int | None
    into: str | None
    delay_ns: int
    head: bytes
    body: bytes
    path: tuple[int, ...]


class PlanDocument(msgspec.Struct, frozen=True, array_like=True):
    """
    A canvas.

    Attributes:
        version: Of this form.
        kind: ``chain``, ``group``, ``chord`` or ``task``: what its outermost part is.
        steps: Its tasks.
        joins: Where they meet: what each awaits, and its value.
    """

    version: int
    kind: str
    steps: tuple[StepDocument, ...]
    joins: tuple[tuple[tuple[int, ...], object], ...]

    @property
    def plan(self) -> Plan[StepDocument]:
        """
        The plan that it holds.

        Raises:
            PayloadError: If it is none: a number in it names nothing, or what it
                waits for waits for it.
        """
        joins = tuple(
            Join(awaits, _shape(shape, len(self.steps), DEPTH_MAX))
            for awaits, shape in self.joins
        )
        steps = tuple(
            Step(step, step.after, step.into is not None, step.path)
            for step in self.steps
        )
        if self.version != VERSION or not joins or len(steps) > STEPS_MAX:
            _refuse(f"version {self.version}, {len(steps)} steps, {len(joins)} joins")
        for number, join in enumerate(joins):
            if any(not 0 <= it < len(steps) for it in join.awaits):
                _refuse(f"join {number} awaits a step that is not there")
        for number, step_ in enumerate(steps):
            if step_.after is None:
                continue
            if not 0 <= step_.after < len(joins):
                _refuse(f"step {number} comes after a join that is not there")
            if any(it >= number for it in joins[step_.after].awaits):
                _refuse(f"step {number} waits for itself or a later one")
        return Plan(steps, joins)


def pack_plan(document: PlanDocument) -> bytes:
    """Return the wire form of *document*."""
    return msgspec.msgpack.encode(document)


def unpack_plan(packed: bytes) -> PlanDocument:
    """
    Return the document in *packed*.

    Raises:
        PayloadError: If it is none.
    """
    try:
        return _DECODER.decode(packed)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise PayloadError(f"the canvas cannot be read: {error}", path="plan") from None


def _shape(wire: object, steps: int, depth: int) -> Shape:
    if isinstance(wire, int) and not isinstance(wire, bool) and 0 <= wire < steps:
        return wire
    if isinstance(wire, list | tuple) and depth:
        return tuple(_shape(part, steps, depth - 1) for part in wire)
    raise PayloadError("the canvas cannot be read: a value of no step", path="plan")


def _refuse(what: str) -> None:
    raise PayloadError(f"the canvas cannot be read: {what}", path="plan")


_DECODER: Final = msgspec.msgpack.Decoder(PlanDocument)
