"""What a supervisor is told, once, by the file in its directory."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stem_actor.errors import RingError

__all__ = ["SupervisorConfig", "read_config", "write_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorConfig:
    """
    Settings of one ring; durations are nanoseconds, sizes bytes.

    Attributes:
        workers: Worker actors that take tasks; one spare sleeps beside them.
        concurrency: Coroutines that one worker runs at once.
        queues: The queues that the workers take tasks of; empty: all.
        max_tasks: A worker is replaced after so many; 0 = never.
        soft_memory: An idle worker above it is replaced; 0 = no mark.
        hard_memory: A worker above it is killed; 0 = no mark.
        grace_ns: How long a drain waits before it interrupts what runs.
        strategy: Base and longest delay of the default retry strategy.
        strategy_seed: Chooses its jitter.
        strategy_place: ``module:qualname`` of the user's own strategy, for workers
            that import; empty: the default one is in force.
        encoders_place: The same of the app's encoders; empty: values stay plain but
            for tasks that name an encoder.
        handlers: Task name → ``module:qualname``, for workers that import.
        hooks: ``worker_init`` and ``worker_shutdown`` references, likewise.
    """

    slots: int
    arena_bytes: int
    workers: int
    concurrency: int = 1
    queues: tuple[str, ...] = ()
    result_ttl_ns: int = 3600 * 10**9
    max_payload: int = 8 << 20
    is_anonymous: bool = True
    max_tasks: int = 0
    soft_memory: int = 0
    hard_memory: int = 0
    grace_ns: int = 10 * 10**9
    strategy: tuple[int, int] = (2 * 10**9, 300 * 10**9)
    strategy_seed: int | None = None
    strategy_place: str = ""
    encoders_place: str = ""
    handlers: dict[str, str] = field(default_factory=dict)
    init_hooks: tuple[str, ...] = ()
    shutdown_hooks: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """Grant cells of each worker: a power of two, at least 2 × concurrency."""
        cells = 64
        while cells < 2 * self.concurrency:
            cells *= 2
        return cells


def write_config(path: Path, config: SupervisorConfig) -> None:
    """
    Replace the file at *path* in one step.

    Raises:
        RingError: If the directory has no room, or cannot be written.
    """
    fresh = path.with_suffix(".tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(msgspec.json.encode(config))
        fresh.replace(path)
    except OSError as error:
        raise RingError(
            f"{path} cannot be written: {error.strerror}",
            hint="set runtime_dir to where this user can write, and there is room",
        ) from error


def read_config(path: Path) -> SupervisorConfig:
    """
    Return the settings at *path*.

    Raises:
        OSError: If it cannot be read.
        msgspec.ValidationError: If it holds something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=SupervisorConfig)
