"""The host's side of an embedded ring: start it, revive it, stop it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from stem_actor.actor.host.attachment import connect
from stem_actor.actor.host.connection import Connection
from stem_actor.actor.host.meeting import Meeting
from stem_actor.actor.host.preflight import require_kernel, require_python
from stem_actor.actor.host.revival import Revival, start_error
from stem_actor.actor.host.supervisor_log import last_words, size_of
from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.config import SupervisorConfig, write_config
from stem_actor.actor.tree.guardian import Guardian
from stem_actor.actor.tree.importing import ImportSpec
from stem_actor.actor.tree.launch import LaunchSpec, become_guardian, launch
from stem_actor.errors import BrokerUnavailable, RingInUse, StemError
from stem_actor.model.stop_report import StopReport
from stem_actor.ring.directory import RingDirectory
from stem_actor.ring.native import require

__all__ = ["RingHost", "supervisor_argv"]

_START_S: Final = 30.0
_END_S: Final = 5.0
_REVIVALS_MAX: Final = 8
#: How the guardian begins, where one death alone would be no news.
_KEEPS_DYING: Final = "failed: supervisor "

_BOOT: Final = (
    "import sys; sys.path[:0] = {path!r}; "
    "from stem_actor.actor.supervisor.supervisor import main; main()"
)


def supervisor_argv(directory: Path, python: str) -> tuple[str, ...]:
    """
    Return the command of a supervisor: clean, isolated, with our import path.

    Args:
        directory: Of its ring.
        python: The interpreter.
    """
    path = [entry for entry in sys.path if entry and Path(entry).exists()]
    return (python, "-I", "-c", _BOOT.format(path=path), str(directory))


class RingHost:
    """
    One embedded tree.

    Args:
        directory: Where the ring lies.
        config: What its supervisor is told.
        body: What each worker runs; a closure where the host can be forked.
        import_spec: Where the same code is found by name, for other start methods.
        start_method: ``auto``, ``fork``, ``import`` or ``spawn``.
        python: The interpreter of supervisor and importing zygote.
    """

    def __init__(
        self,
        directory: RingDirectory,
        config: SupervisorConfig,
        *,
        body: Callable[[Birth], None],
        import_spec: ImportSpec | None = None,
        start_method: str = "auto",
        python: str = sys.executable,
    ) -> None:
        self.directory = directory
        self._config = config
        self._body = body
        self._import_spec = import_spec
        self._start_method = start_method
        self._python = python
        self._pid = 0  # of the process that started it
        self._is_stopping = False
        self._stopper = 0  # the thread that stops it
        self._revival: Revival | None = None
        self._revivals = 0  # in a row that died before their supervisor was ready
        self._failure: str | None = None  # of a tree that lives and has no supervisor
        self._log_start = 0  # what stands before in the log is of an earlier tree
        self.guardian: Guardian | None = None
        self.connection: Connection | None = None

    @property
    def is_inherited(self) -> bool:
        """Whether this is a child of the process that started it: not ours to end."""
        return self._pid not in (0, os.getpid())

    def start(self) -> Connection:
        """
        Start the tree and connect to it.

        Raises:
            RingInUse: If another supervisor runs this ring; names its pid.
            RingError: If it cannot come up; says why.
        """
        require()
        require_kernel()
        require_python(self._python)
        self._pid = os.getpid()
        self._launch()
        try:
            self.connection = connect(Meeting(self.directory, revive=self._revive))
        except BaseException:
            self._end()
            raise
        return self.connection

    def become_guardian(self) -> NoReturn:
        """Turn this process into the tree's guardian (the command line); no return."""
        require()
        require_kernel()
        require_python(self._python)
        self._prepare()
        become_guardian(self._spec())

    def stop(self, deadline_s: float) -> StopReport:
        """
        Drain until *deadline_s* from now, then end everything; never raises for a
        tree that is gone already.

        A stop after one that was interrupted drains nothing: it ends everything at
        once. In a child of the process that started the tree it only forgets it.
        """
        answer: dict[str, object] = {}
        connection, guardian = self.connection, self.guardian
        if self.is_inherited:
            self.forget()
            return StopReport()
        if connection is None or guardian is None:
            return StopReport()
        was_interrupted, self._is_stopping = self._is_stopping, True
        self._stopper = threading.get_ident()
        if was_interrupted:
            guardian.end()
        with suppress(StemError, OSError):
            # One that was started again may be up, and nobody has asked for it since.
            is_there = guardian.is_alive() or self._revival is not None
            if not was_interrupted and is_there:
                answer = connection.request(
                    "stop",
                    deadlineNs=int(deadline_s * 1e9),
                    timeout_s=deadline_s + _END_S,
                )
                connection.replies.drain_if_free()
        with suppress(StemError):
            self._take_revived()
        guardian = self.guardian or guardian  # the request may have found another
        if not guardian.wait(_END_S):
            guardian.end()
            guardian.wait(_END_S)
        with suppress(StemError):
            connection.replies.drain_if_free()
        self._end()
        self._is_stopping = False
        return _report_of(answer)

    def forget(self) -> None:
        """Let go without touching the tree: it is another's, or has ended."""
        if self.connection is not None:
            self.connection.close()
        if self.guardian is not None:
            self.guardian.close()
        self.connection = self.guardian = None

    # --- inside

    def _end(self) -> None:
        """End what still runs, and let go of everything."""
        if self.connection is not None:
            self.connection.close()  # from here on nobody revives
        revival, self._revival = self._revival, None
        if revival is not None:
            revival.end()
        if self.guardian is not None and self.guardian.is_alive():
            self.guardian.end()
            self.guardian.wait(_END_S)
        self.forget()
        if self.directory.is_anonymous:
            shutil.rmtree(self.directory.path, ignore_errors=True)

    def _prepare(self) -> None:
        self.directory.create()
        owner = self.directory.owner()
        if owner is not None:
            raise RingInUse(owner, path=str(self.directory.path))
        write_config(self.directory.config, self._config)
        self._log_start = size_of(self.directory.log)

    def _spec(self) -> LaunchSpec:
        return LaunchSpec(
            directory=str(self.directory.path),
            supervisor_argv=supervisor_argv(self.directory.path, self._python),
            python=self._python,
            worker_body=self._body,
            remove_directory=self.directory.is_anonymous,
            start_method=self._start_method,
            import_spec=self._import_spec,
        )

    def _launch(self) -> None:
        """Start the tree for the first time; where that fails, nothing is left."""
        self._prepare()
        try:
            guardian = launch(self._spec())
            line = guardian.wait_status(_START_S)
            if line != "ready":
                guardian.end()
                guardian.wait(_END_S)
                guardian.close()
                raise start_error(line, self._last_words())
        except BaseException:
            if self.directory.is_anonymous:
                shutil.rmtree(self.directory.path, ignore_errors=True)
            raise
        self.guardian = guardian

    def _revive(self) -> None:
        """
        Take a step towards a new tree after the guardian's death; see ``Connection``.

        Raises:
            BrokerUnavailable: If there can be none.
            RingError: If the new one does not come up; the next step begins anew.
        """
        if self.is_inherited:
            raise BrokerUnavailable("the tree of this app belongs to its parent")
        if self._is_stopping and self._stopper != threading.get_ident():
            return  # whoever stops it may need it once more; nobody else does
        if self._revival is None:
            if self.guardian is not None and self.guardian.is_alive():
                self._check_status(self.guardian)
                return
            if not self.directory.path.exists():
                raise BrokerUnavailable("the tree of this app is gone with its ring")
            if self.directory.owner() is not None:
                return  # its supervisor dies with it, but a moment later
            self._prepare()
            self._revival = Revival(self._spec())
        self._take_revived()

    def _take_revived(self) -> None:
        """
        Make the tree that was started again ours, once it has said how it is.

        Raises:
            StemError: If it has not come up; says why.
        """
        if self._revival is None:
            return
        try:
            guardian = self._revival.result(self._last_words)
        except BaseException:
            self._revival = None
            raise
        if guardian is None:
            return
        if self.guardian is not None:
            self.guardian.close()
        self.guardian, self._revival = guardian, None
        self._revivals += 1
        if guardian.is_alive():
            self._revivals = 0
        elif self._revivals > _REVIVALS_MAX:
            raise start_error("", self._last_words())

    def _check_status(self, guardian: Guardian) -> None:
        """
        Raise what the guardian says of supervisors that keep dying, until one is ready.

        Raises:
            RingError: With what the last of them said.
        """
        while line := guardian.wait_status(0):
            if line == "ready":
                self._failure = None
            elif line.startswith(_KEEPS_DYING):  # else: one of them, of itself
                self._failure = line
        if self._failure is not None:
            raise start_error(self._failure, self._last_words())

    def _last_words(self) -> str | None:
        return last_words(self.directory.log, self._log_start)


def _report_of(answer: dict[str, object]) -> StopReport:
    return StopReport(
        finished=int(str(answer.get("finished", 0))),
        handed_back=int(str(answer.get("handedBack", 0))),
        cancelled=int(str(answer.get("cancelled", 0))),
        unstarted=int(str(answer.get("unstarted", 0))),
        duration=int(str(answer.get("durationNs", 0))) / 1e9,
    )
