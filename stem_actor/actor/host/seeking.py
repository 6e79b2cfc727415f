"""Seeking: the ends of tasks to which no reply will come are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from stem_actor.actor.host.replies import Replies
from stem_actor.actor.host.status_view import status_of
from stem_actor.actor.host.strays import Strays
from stem_actor.errors import BrokerUnavailable
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.tasks.found import FoundTask
from stem_actor.tasks.ports import NOT_KNOWN, FoundHandle, PendingHandle

__all__ = ["Seeking", "settle_as_lost"]

_LOST_KIND: Final = 3
_LOST: Final = b"\x81\xa6reason\xb0lost with a ring"


class Seeking(ABC):
    """The part of a connection that asks the supervisor for the ends of tasks."""

    _strays: Strays
    replies: Replies
    encoders: TaskPayloadEncoderRegistry | None

    @abstractmethod
    def request(self, op: str, *, timeout_s: float, **fields: object) -> dict[str, Any]:
        """Ask the supervisor and return its answer."""

    @abstractmethod
    def unspool(self, body: bytes) -> bytes:
        """Return what *body* stands for, if it is a claim check, else *body*."""

    def find(self, handle: FoundHandle, patience_ns: int) -> None:
        try:
            view = self.request(
                "status", timeout_s=patience_ns / 1e9, id=handle.task_id
            )["status"]
        except BrokerUnavailable:  # it may come back while the handle is waited for
            self._strays.add((handle,))
            return
        if view is None or view["kind"]:
            self._settle_stray(handle, view)
        else:
            self._saw(handle, view)
            self._strays.add((handle,))

    def lose(self, handle: FoundHandle) -> None:
        self._strays.remove(handle)

    # --- inside

    def _seek(self) -> None:
        """Ask for some of them; never waits."""
        if self._strays:
            self._strays.ask(self._settle_stray, self._saw)

    def _settle_stray(self, handle: PendingHandle, view: dict[str, Any] | None) -> None:
        if view is None and isinstance(handle, FoundTask):
            handle.settle(NOT_KNOWN, 0, 0, b"")
        elif view is None:
            settle_as_lost(handle)
        else:
            self.replies.settle(
                handle, view["kind"], view["attempt"], view["starts"], view["payload"]
            )

    def _saw(self, handle: PendingHandle, view: dict[str, Any]) -> None:
        if isinstance(handle, FoundTask):
            handle.saw(status_of(view, self.unspool, self.encoders))


def settle_as_lost(handle: PendingHandle) -> None:
    """The ring was lost with everything in it: say so, rather than wait for ever."""
    handle.settle(_LOST_KIND, 0, 0, _LOST)
