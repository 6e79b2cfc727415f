"""Settings: what an app was given, checked, in the units of the inside."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from stem_actor.actor.host.places import Places
from stem_actor.actor.tree.config import SupervisorConfig
from stem_actor.actor.tree.cores import usable_cores
from stem_actor.actor.tree.start_method import StartMethod
from stem_actor.errors import SettingsError
from stem_actor.model.duration import Duration, to_ns
from stem_actor.model.lifecycle import WorkerLifecycle
from stem_actor.model.metadata import PayloadEncoder
from stem_actor.model.options import check_queue
from stem_actor.payload.encoder_registry import EncoderIds, TaskPayloadEncoderRegistry
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy, RetryStrategy
from stem_actor.ring.directory import RingDirectory, parse_ring_url

__all__ = ["Settings", "SettingsDict", "settings_of"]

_ARENA_UNIT: Final = 64 << 10
_RANGES: Final = {
    "workers": (1, 1023),  # of 1,024 rows one is the spare's
    "concurrency": (1, 512),  # a worker has twice as many grant cells, at most 1,024
    "slots": (64, 1 << 24),
    "arena_bytes": (256 << 10, 16 << 30),
    "max_payload": (1, 1 << 31),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    The settings of one app; all numbers are in range.

    Attributes:
        broker: A ``ring://`` URL.
        runtime_dir: Where rings lie; None: the default of this machine.
        workers: How many worker processes there are.
        concurrency: Coroutines that one worker runs at a time.
        queues: Queues whose tasks are taken; empty: all.
        lifecycle: When workers are replaced.
        start_method: How the zygote comes by the handlers.
        retry_strategy: The rule for delays where no policy is in force.
        slots: Tasks that the ring holds, results that are kept included.
        arena_bytes: Room for their arguments and results.
        result_ttl_ns: How long a result is kept.
        max_payload: Largest arguments or result, in bytes.
        python: The interpreter that supervisors, and zygotes that import, are run by.
        encoders: The encoders of its payloads.
    """

    broker: str
    runtime_dir: str | None
    workers: int
    concurrency: int
    queues: tuple[str, ...]
    lifecycle: WorkerLifecycle
    start_method: StartMethod
    retry_strategy: RetryStrategy
    slots: int
    arena_bytes: int
    result_ttl_ns: int
    max_payload: int
    python: str
    encoders: TaskPayloadEncoderRegistry

    def locate(self) -> RingDirectory:
        """
        Return the ring's directory; for an anonymous ring another one at each call.

        Asked at each start and not kept: a program may fork between making its app
        and starting it.
        """
        return parse_ring_url(self.broker, self.runtime_dir)

    @property
    def own_strategy(self) -> RetryStrategy | None:
        """The retry strategy if it is of a class of the user: code, and no numbers."""
        is_ours = type(self.retry_strategy) is ExponentialJitterRetryStrategy
        return None if is_ours else self.retry_strategy

    @property
    def own_encoders(self) -> TaskPayloadEncoderRegistry | None:
        """The encoders if the user has named some, likewise."""
        return None if self.encoders.is_plain else self.encoders

    def supervisor_config(
        self, *, is_anonymous: bool, places: Places
    ) -> SupervisorConfig:
        """
        Return what the supervisor is told.

        Args:
            is_anonymous: Whether the ring goes with its owner.
            places: Where workers that import find the user's code.
        """
        known = ExponentialJitterRetryStrategy()
        if isinstance(self.retry_strategy, ExponentialJitterRetryStrategy):
            known = self.retry_strategy  # a user's own class means nothing over there
        return SupervisorConfig(
            slots=self.slots,
            arena_bytes=self.arena_bytes,
            workers=self.workers,
            concurrency=self.concurrency,
            queues=self.queues,
            result_ttl_ns=self.result_ttl_ns,
            max_payload=self.max_payload,
            is_anonymous=is_anonymous,
            max_tasks=self.lifecycle.max_tasks or 0,
            soft_memory=self.lifecycle.soft_memory or 0,
            hard_memory=self.lifecycle.hard_memory or 0,
            grace_ns=self.lifecycle.grace_ns,
            strategy=(to_ns(known.base, "base"), to_ns(known.max, "max")),
            strategy_seed=known.seed,
            strategy_place=places.strategy or "",
            encoders_place=places.encoders or "",
            handlers=dict(places.handlers),
            init_hooks=places.init_hooks,
            shutdown_hooks=places.shutdown_hooks,
        )


class SettingsDict(TypedDict, total=False):
    """
    What an app may be given; durations are ``timedelta`` or seconds.

    Attributes:
        broker: ``ring://``: a private ring, gone with this process. ``ring://NAME`` or
            ``ring:///PATH``: one that others can attach to, whose tasks survive every
            process.
        workers: Worker processes; None: one for each core of the affinity mask, and of
            the CPU quota of the control group.
        concurrency: Coroutine handlers that one worker runs at a time.
        queues: Queues whose tasks the workers take; None: all.
        retry_strategy: The delay of retries where a task brings no policy.
        lifecycle: When a worker is replaced, and the grace of a stop.
        start_method: ``auto``, ``fork``, ``import`` or ``spawn``.
        runtime_dir: Where rings lie; None: shared memory.
        slots: Tasks that the ring holds at a time, kept results included.
        arena_bytes: Room for their arguments and results.
        result_ttl: How long a result is kept for those who ask by id.
        max_payload: Largest arguments or result, in bytes.
        python: The Python interpreter that the supervisor is run by; None:
            ``sys.executable``. To be set by a program that embeds Python, whose
            ``sys.executable`` is something else.
        args_encoder: Encodes the arguments of tasks that name no encoder of their own.
        result_encoder: The same for results, errors, progress and kept meta.
        additional_encoders: Further ones that payloads here may be marked with.
        encoder_ids: ``strict``: an encoder that is not known is an error; ``lenient``:
            the default one decodes.
    """

    broker: str
    workers: int | None
    concurrency: int
    queues: Iterable[str] | None
    retry_strategy: RetryStrategy | None
    lifecycle: WorkerLifecycle | None
    start_method: str
    runtime_dir: str | Path | None
    slots: int
    arena_bytes: int
    result_ttl: Duration
    max_payload: int
    python: str | Path | None
    args_encoder: PayloadEncoder | None
    result_encoder: PayloadEncoder | None
    additional_encoders: Iterable[PayloadEncoder]
    encoder_ids: EncoderIds


def settings_of(given: SettingsDict) -> Settings:
    """
    Return the settings that *given* means; see ``build_settings``.

    Raises:
        SettingsError: With every problem at once; for settings that there are not,
            with the nearest name of each.
    """
    known = SettingsDict.__annotations__
    problems = []
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(f"there is no setting {name!r}{hint}")
    if problems:
        raise SettingsError(problems, hint=f"there are: {', '.join(known)}")
    return build_settings(**given)


def build_settings(
    *,
    broker: str = "ring://",
    workers: int | None = None,
    concurrency: int = 1,
    queues: Iterable[str] | None = None,
    retry_strategy: RetryStrategy | None = None,
    lifecycle: WorkerLifecycle | None = None,
    start_method: str = "auto",
    runtime_dir: str | Path | None = None,
    slots: int = 32_768,
    arena_bytes: int = 32 << 20,
    result_ttl: Duration = 3600,
    max_payload: int = 8 << 20,
    python: str | Path | None = None,
    args_encoder: PayloadEncoder | None = None,
    result_encoder: PayloadEncoder | None = None,
    additional_encoders: Iterable[PayloadEncoder] = (),
    encoder_ids: EncoderIds = "strict",
) -> Settings:
    """
    Return the settings that these public values mean.

    Raises:
        SettingsError: With every problem at once.
    """
    counts = {
        "workers": usable_cores() if workers is None else workers,
        "concurrency": concurrency,
        "slots": slots,
        "arena_bytes": arena_bytes,
        "max_payload": max_payload,
    }
    problems = [
        *_broker_problems(broker, runtime_dir),
        *_count_problems(counts),
        *_duration_problems(result_ttl),
        *_queue_problems(queues),
    ]
    if start_method not in list(StartMethod):
        known = ", ".join(f'"{method}"' for method in StartMethod)
        problems.append(f"start_method must be one of {known}, not {start_method!r}")
    problems += _kind_problems(lifecycle, retry_strategy, python)
    defaults, others = (args_encoder, result_encoder), additional_encoders
    encoders = _encoders(problems, defaults, others, encoder_ids)
    if problems:
        raise SettingsError(problems)
    return Settings(
        broker=broker,
        runtime_dir=None if runtime_dir is None else os.path.abspath(runtime_dir),
        queues=tuple(queues or ()),
        lifecycle=WorkerLifecycle() if lifecycle is None else lifecycle,
        start_method=StartMethod(start_method),
        retry_strategy=retry_strategy or ExponentialJitterRetryStrategy(),
        result_ttl_ns=to_ns(result_ttl, "result_ttl"),
        python=sys.executable if python is None else _program(python),
        encoders=encoders,
        **counts,
    )


def _program(python: str | Path) -> str:
    """Return the path that is meant; not its target, which a virtual one is not."""
    path = os.fspath(python)
    return os.path.abspath(shutil.which(path) or path)


def _broker_problems(broker: object, runtime_dir: str | Path | None) -> Iterator[str]:
    if not isinstance(broker, str):
        yield f"broker must be a URL, not {broker!r}"
        return
    scheme = broker.partition("://")[0]
    if scheme != "ring":
        yield f'broker {broker!r} is not supported yet; use "ring://"'
        return
    try:
        parse_ring_url(broker, runtime_dir)
    except SettingsError as error:
        yield str(error)


def _count_problems(counts: dict[str, int]) -> Iterator[str]:
    for name, value in counts.items():
        low, high = _RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"{name} must be an int, not {value!r}"
        elif not low <= value <= high:
            yield f"{name} must be in {low:,}..{high:,}, not {value:,}"
        elif name == "arena_bytes" and value % _ARENA_UNIT:
            yield f"arena_bytes must be a multiple of 64 KiB, not {value:,}"


def _encoders(
    problems: list[str],
    defaults: tuple[PayloadEncoder | None, PayloadEncoder | None],
    others: Iterable[PayloadEncoder],
    ids: EncoderIds,
) -> TaskPayloadEncoderRegistry:
    """Return the registry; what is wrong with it is added to *problems*."""
    try:
        return TaskPayloadEncoderRegistry(*defaults, others, ids=ids)
    except SettingsError as error:
        problems += error.problems
        return TaskPayloadEncoderRegistry()


def _kind_problems(
    lifecycle: object, retry_strategy: object, python: object
) -> Iterator[str]:
    if not isinstance(lifecycle, WorkerLifecycle | None):
        yield f"lifecycle must be a WorkerLifecycle, not {lifecycle!r}"
    if retry_strategy is not None and not callable(
        getattr(retry_strategy, "next_delay", None)
    ):
        yield f"retry_strategy has no next_delay method: {retry_strategy!r}"
    if not isinstance(python, str | os.PathLike | None):
        yield f"python must be the path of an interpreter, not {python!r}"


def _duration_problems(result_ttl: Duration) -> Iterator[str]:
    try:
        to_ns(result_ttl, "result_ttl")
    except (TypeError, ValueError) as error:
        yield str(error)


def _queue_problems(queues: Iterable[str] | None) -> Iterator[str]:
    if isinstance(queues, str):
        yield f"queues must be a list of names, not {queues!r}"
        return
    for queue in queues or ():
        try:
            check_queue(queue)
        except ValueError as error:
            yield str(error)
