"""Worker: consumes the tasks of a stem."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from dataclasses import fields
from types import FrameType
from typing import Any, Final, Literal, Self, cast

from stem_actor.actor.host.settings import SettingsDict
from stem_actor.app import StemApp
from stem_actor.engine.registering import Handler
from stem_actor.model.stop_report import StopReport
from stem_actor.observe.reading import EventKind
from stem_actor.observe.stream import EventStream
from stem_actor.roles.stem import Stem
from stem_actor.roles.worker_config import WorkerConfig

__all__ = ["ShutdownMode", "Worker"]

ShutdownMode = Literal["warm", "soft", "hard"]
"""
``warm``: running tasks have the grace of the lifecycle. ``soft``: they have one second.
``hard``: none. What has not ended by then is interrupted, and runs again later.
"""

_SOFT_S: Final = 1.0
_LOOK_S: Final = 0.5


class Worker:
    """
    Worker processes for the tasks of a stem, under a supervisor of their own.

    A ring has one supervisor: where another process runs it already, the start is
    refused with that one's pid.

    Attributes:
        stem: Whose tasks it runs.
    """

    def __init__(
        self,
        stem: Stem | StemApp,
        tasks: Iterable[Handler] = (),
        *,
        queues: Iterable[str] | None = None,
        workers: int | None = None,
        config: WorkerConfig | None = None,
    ) -> None:
        """
        Make a worker; nothing is started.

        Args:
            stem: Whose tasks are run.
            tasks: Further tasks, registered with the stem.
            queues: Queues whose tasks are taken; None: those of the stem's settings.
            workers: Worker processes, likewise.
            config: Further settings, likewise.

        Raises:
            SettingsError: If one of them cannot work, or the stem runs already.
        """
        self.stem = stem
        self._app = stem.app if isinstance(stem, Stem) else stem
        given: dict[str, Any] = {"queues": queues, "workers": workers}
        for field in fields(config) if config is not None else ():
            given[field.name] = getattr(config, field.name)
        spoken = {name: it for name, it in given.items() if it is not None}
        self._app.configure(cast("SettingsDict", spoken))
        for each in tasks:
            self._app.register(each)
        self._mode: ShutdownMode = "warm"
        self._asked = threading.Event()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.shutdown()

    @property
    def is_started(self) -> bool:
        """Whether its processes run, and are not being stopped."""
        return self._app.is_started

    def start(self) -> Self:
        """
        Start supervisor and workers.

        Raises:
            StemError: If they run already.
            RingInUse: If another process runs the ring; names its pid.
            RingError: If the ring cannot come up.
        """
        self._app.start()
        self._asked.clear()
        return self

    def run(self) -> StopReport:
        """
        Start, unless it is started, and block until a signal or ``shutdown``.

        In the main thread SIGTERM is a warm shutdown, and Ctrl-C a soft one.

        Raises:
            StemError: As ``start`` does.
        """
        if not self.is_started:
            self.start()
        before: Any = None
        in_main = threading.current_thread() is threading.main_thread()
        if in_main:
            before = signal.signal(signal.SIGTERM, self._on_signal)
        try:
            while self.is_started and not self._asked.wait(_LOOK_S):
                pass
        except KeyboardInterrupt:
            self._mode = "soft"
        finally:
            if in_main:
                signal.signal(signal.SIGTERM, before)
        return self._stop()

    def shutdown(self, mode: ShutdownMode = "warm") -> StopReport:
        """
        Start no more tasks, and end everything; also a ``run`` in another thread.

        Raises:
            ValueError: If there is no such mode.
        """
        if mode not in ("warm", "soft", "hard"):
            raise ValueError(f'mode must be "warm", "soft" or "hard", not {mode!r}')
        self._mode = mode
        self._asked.set()
        return self._stop()

    def events(
        self, *, task_id: str | None = None, types: Iterable[EventKind] = ()
    ) -> EventStream:
        """Return an iterator over the events from now on; see ``StemApp.events``."""
        return self._app.events(task_id=task_id, types=types)

    # --- inside

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()

    def _stop(self) -> StopReport:
        if self._mode == "warm":
            return self._app.stop()
        return self._app.stop(_SOFT_S if self._mode == "soft" else 0)
