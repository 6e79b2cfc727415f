"""Canvas: the verbs that submit trees of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, overload

from stem_actor.canvas.building import chain, chord, group
from stem_actor.canvas.handle import CanvasHandle
from stem_actor.engine.plan_publish import PlanPublisher
from stem_actor.engine.publish import Publisher
from stem_actor.tasks.signature import (
    AsyncStep,
    Immutable,
    Part,
    Partial,
    Signature,
    Step,
    SyncStep,
)

__all__ = ["Canvas"]

R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


class Canvas:
    """
    Submits trees of tasks, each as a whole: once a call has returned, the supervisor
    runs all of it, whatever becomes of its producer.

    Every verb raises TypeError for a part that lacks an argument or has one too many,
    TaskNotRegistered, PayloadError and PayloadTooLarge for what cannot be sent,
    QueueFull without room, and AppNotStarted without a ring.
    """

    def __init__(self, publisher: Publisher) -> None:
        """Made by the app, as ``app.canvas``."""
        self._plans = PlanPublisher(publisher)

    def enqueue(self, signature: Signature[R], /) -> CanvasHandle[R]:
        """Run *signature*, however it is made."""
        if not isinstance(signature, Signature):
            raise TypeError(
                f"{signature!r} lacks its first argument, or is no part of a canvas; "
                "write .s(...) of a task"
            )
        return CanvasHandle(self._plans.publish(signature.tree))

    def group(self, members: Iterable[Signature[S]], /) -> CanvasHandle[list[S]]:
        """Run *members* at once; the value is the list of theirs, in this order."""
        return self.enqueue(group(members))

    @overload
    def chain(self, parts: Signature[R], /) -> CanvasHandle[R]: ...
    @overload
    def chain(self, parts: Iterable[Part[Any] | Step[Any]], /) -> CanvasHandle[Any]: ...
    def chain(self, parts: Any, /) -> CanvasHandle[Any]:
        """
        Run *parts* one after the other, each handed the value before it; the value is
        the last one's. A chain made by bars may be passed as it is.

        Raises:
            ValueError: If there is none.
        """
        return self.enqueue(parts if isinstance(parts, Signature) else chain(parts))

    @overload
    def chord(
        self, body: Iterable[Signature[S]], callback: AsyncStep[list[S], T], /
    ) -> CanvasHandle[T]: ...
    @overload
    def chord(
        self, body: Iterable[Signature[S]], callback: SyncStep[list[S], T], /
    ) -> CanvasHandle[T]: ...
    @overload
    def chord(
        self, body: Iterable[Signature[S]], callback: Partial[T] | Immutable[T], /
    ) -> CanvasHandle[T]: ...
    def chord(self, body: Iterable[Any], callback: Any, /) -> CanvasHandle[Any]:
        """
        Run *body* at once, then *callback* with the list of their values, in the order
        of the body; the value is the callback's.
        """
        return self.enqueue(chord(body, callback))
