"""Strays: handles on tasks that another enqueue made; their ends are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from stem_actor.actor.host.line import ControlLine, Request
from stem_actor.errors import StemError
from stem_actor.tasks.ports import PendingHandle

__all__ = ["Strays", "checked"]

_AT_ONCE: Final = 64

Settle = Callable[[PendingHandle, "dict[str, Any] | None"], None]
Saw = Callable[[PendingHandle, "dict[str, Any]"], None]


class Strays:
    """
    Handles to which no reply will come, because it goes to the first handle of their
    task, or was dropped. One leaves only when it is settled.
    """

    def __init__(self, line: ControlLine) -> None:
        self._line = line
        self._handles: dict[int, PendingHandle] = {}  # by their ``id``
        self._requests: dict[int, Request] = {}
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self._handles)

    def add(self, handles: Iterable[PendingHandle]) -> None:
        self._handles.update((id(handle), handle) for handle in handles)

    def remove(self, handle: PendingHandle) -> None:
        """Ask for *handle* no more."""
        self._handles.pop(id(handle), None)
        request = self._requests.pop(id(handle), None)
        if request is not None:
            self._line.forget(request)

    def ask(self, settle: Settle, saw: Saw | None = None) -> None:
        """
        Ask for the ends of some, and take the answers to earlier questions.

        Never waits; a turn that is full leaves the others for the next one.

        Args:
            settle: Gets each handle whose task has ended with its status, and one
                whose task is not known any more with None.
            saw: Gets each handle whose task has not ended with its status.

        Raises:
            StemError: What the supervisor says.
        """
        keys, asked = list(self._handles), set[bytes]()
        self._turn = (self._turn + _AT_ONCE) % max(1, len(keys))
        for key in (keys[self._turn :] + keys[: self._turn])[:_AT_ONCE]:
            handle = self._handles.get(key)
            if handle is None or handle.task_id in asked:
                continue  # settled meanwhile; or another of its task is asked for
            asked.add(handle.task_id)
            fresh = Request("status", {"id": handle.task_id})
            request = self._requests.setdefault(key, fresh)
            answer = self._line.exchange(request)
            if answer is None:
                continue
            self._requests.pop(key, None)
            view = checked(answer)["status"]
            self._tell(handle.task_id, view, settle, saw)

    def _tell(
        self,
        task_id: bytes,
        view: dict[str, Any] | None,
        settle: Settle,
        saw: Saw | None,
    ) -> None:
        """Tell every handle of a task; a unique one may have many."""
        for key, handle in list(self._handles.items()):
            if handle.task_id != task_id:
                continue
            if view is None or view["kind"]:
                settle(handle, view)
                self._handles.pop(key, None)
            elif saw is not None:
                saw(handle, view)


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """
    Return *answer*.

    Raises:
        StemError: If it says why there is none.
    """
    if "error" in answer:
        raise StemError(str(answer["message"]))
    return answer
