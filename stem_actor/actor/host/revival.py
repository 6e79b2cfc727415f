"""Revival: a tree that is started again while its host goes on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from stem_actor.actor.tree import start_method
from stem_actor.actor.tree.guardian import Guardian
from stem_actor.actor.tree.launch import LaunchSpec, launch
from stem_actor.actor.tree.start_method import StartMethod
from stem_actor.errors import RingError, RingInUse, StemError

__all__ = ["Revival", "start_error"]

_START_S: Final = 30.0
_END_S: Final = 5.0
_IN_USE: Final = re.compile(
    r"the ring at (?P<path>.*) is run by (process (?P<pid>\d+)|another process)"
)


class Revival:
    """
    One start of a tree whose guardian has died.

    A fork is made by the caller, at once: a thread of ours would be one too many for
    it. A new interpreter is waited for in a thread, because its imports may take long
    and whoever takes a step may be an event loop.

    Args:
        spec: What to start.
    """

    def __init__(self, spec: LaunchSpec) -> None:
        self._deadline = time.monotonic() + _START_S
        self._guardian: Guardian | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._is_given_up = False
        method = start_method.choose(spec.start_method)
        spec = replace(spec, start_method=method)
        if method is StartMethod.FORK:
            self._guardian = launch(spec)
        else:
            self._thread = threading.Thread(
                target=self._launch, args=(spec,), name="stem-revival", daemon=True
            )
            self._thread.start()

    def result(self, last_words: Callable[[], str | None]) -> Guardian | None:
        """
        Return the guardian once its supervisor is ready, or once it has died again
        without a word; None until then.

        Raises:
            StemError: If it does not come up; says why, with the supervisor's
                *last_words*. Nothing of it runs on, and the directory stays.
        """
        if self._error is not None:
            raise self._error
        guardian = self._guardian
        is_late = time.monotonic() > self._deadline
        if guardian is None and not is_late:
            return None
        line = None if guardian is None else guardian.wait_status(0)
        if line in ("ready", ""):
            return guardian
        if line is None and not is_late:
            return None
        self._is_given_up = True
        if guardian is not None:
            _end(guardian)
        raise start_error(line, last_words())

    def end(self) -> None:
        """Give it up, however far it has come."""
        if self._thread is not None:
            self._thread.join(_START_S)
        if self._guardian is not None:
            self._guardian.end()
            self._guardian.wait(_END_S)
            self._guardian.close()

    def _launch(self, spec: LaunchSpec) -> None:
        try:
            self._guardian = launch(spec)
        except BaseException as error:
            self._error = error
        else:
            if self._is_given_up:
                _end(self._guardian)


def _end(guardian: Guardian) -> None:
    """End a tree that came too late; the directory stays for the next one."""
    guardian.end(keep=True)
    guardian.wait(0)
    guardian.close()


def start_error(line: str | None, words: str | None) -> StemError:
    """
    Return why a tree did not come up.

    Args:
        line: The guardian's last status line; None: there was none in time.
        words: What its supervisor has said last, if it said anything.
    """
    if line is None:
        return RingError(f"the supervisor did not come up within {_START_S:g} s")
    told = line.removeprefix("failed: ") or "the guardian ended"
    kind, _, text = told.partition(": ")
    in_use = _IN_USE.match(text) if kind == "RingInUse" else None
    if in_use is not None:
        return RingInUse(int(in_use["pid"] or 0), path=in_use["path"])
    if kind.isidentifier() and text:  # its own reason
        return RingError(f"the supervisor cannot run: {text}")
    return RingError(
        f"the supervisor cannot run: {told}",
        hint=f"its last words: {words}" if words else None,
    )
