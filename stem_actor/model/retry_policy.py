"""TaskRetryPolicy: a task's own settings for its retries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stem_actor.model.duration import Duration, from_ns, to_ns
from stem_actor.model.error import class_name

__all__ = ["MAX_RETRIES", "ExceptionFilter", "TaskRetryPolicy", "check_retries"]

MAX_RETRIES: Final = (1 << 31) - 1
"""Attempt numbers are stored in 32 bits."""

ExceptionFilter = type[BaseException] | str
"""A class, or its name: qualified (``"shop.errors.Gone"``) or bare (``"Gone"``)."""


@dataclass(frozen=True, slots=True)
class TaskRetryPolicy:
    """
    When and after which errors a task is tried again.

    A policy in force replaces the worker's retry strategy entirely: one without a
    delay means "again at once".

    Attributes:
        backoff: Whether the delay doubles with each attempt.
        default_delay: The delay, or with *backoff* the first one.
        backoff_max: Upper bound of a doubled delay; None: unbounded.
        jitter: Whether up to a quarter is taken off a doubled delay.
        max_retries: Tries after the first one; None: as the task's options say.
        auto_retry_for: Only these errors are retried; empty: all are.
        dont_auto_retry_for: These are never retried; wins over the other.

    Raises:
        ValueError: If a duration or *max_retries* is out of range.
        TypeError: If a filter is neither an exception class nor a name.
    """

    backoff: bool = False
    default_delay: Duration = 0
    backoff_max: Duration | None = None
    jitter: bool = True
    max_retries: int | None = None
    auto_retry_for: tuple[ExceptionFilter, ...] = ()
    dont_auto_retry_for: tuple[ExceptionFilter, ...] = ()

    def __post_init__(self) -> None:
        to_ns(self.default_delay, "default_delay")
        if self.backoff_max is not None:
            to_ns(self.backoff_max, "backoff_max")
        for flag in ("backoff", "jitter"):
            if not isinstance(getattr(self, flag), bool):
                raise ValueError(f"{flag} must be True or False")
        if self.max_retries is not None:
            check_retries(self.max_retries)
        for name in ("auto_retry_for", "dont_auto_retry_for"):
            object.__setattr__(self, name, _filters(getattr(self, name), name))

    @property
    def default_delay_ns(self) -> int:
        return to_ns(self.default_delay, "default_delay")

    @property
    def backoff_max_ns(self) -> int | None:
        if self.backoff_max is None:
            return None
        return to_ns(self.backoff_max, "backoff_max")

    @property
    def auto_retry_names(self) -> tuple[str, ...]:
        return tuple(map(_filter_name, self.auto_retry_for))

    @property
    def dont_auto_retry_names(self) -> tuple[str, ...]:
        return tuple(map(_filter_name, self.dont_auto_retry_for))

    def to_wire(self) -> dict[str, object]:
        """Return the plain map that ``from_wire`` reads; classes become names."""
        return {
            "backoff": self.backoff,
            "defaultDelayNs": self.default_delay_ns,
            "backoffMaxNs": self.backoff_max_ns,
            "jitter": self.jitter,
            "maxRetries": self.max_retries,
            "autoRetryFor": list(self.auto_retry_names),
            "dontAutoRetryFor": list(self.dont_auto_retry_names),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, object]) -> TaskRetryPolicy:
        """
        Return the policy that *wire* describes.

        Raises:
            ValueError: If *wire* describes none.
        """
        try:
            delay, longest = wire["defaultDelayNs"], wire["backoffMaxNs"]
            rest: dict[str, Any] = {  # checked by the constructor
                "backoff": wire["backoff"],
                "jitter": wire["jitter"],
                "max_retries": wire["maxRetries"],
                "auto_retry_for": wire["autoRetryFor"],
                "dont_auto_retry_for": wire["dontAutoRetryFor"],
            }
            return cls(
                default_delay=_duration(delay),
                backoff_max=None if longest is None else _duration(longest),
                **rest,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a retry policy: {error}") from error


def check_retries(value: int, name: str = "max_retries") -> None:
    """Raise ValueError if *value* is not a number of retries."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an int, not {value!r}")
    if not 0 <= value <= MAX_RETRIES:
        raise ValueError(f"{name} must be in 0..{MAX_RETRIES}, not {value}")


def _filters(given: object, name: str) -> tuple[ExceptionFilter, ...]:
    if isinstance(given, str) or not isinstance(given, tuple | list | set | frozenset):
        raise TypeError(f"{name} must be a tuple of exception classes, not {given!r}")
    for item in given:
        is_class = isinstance(item, type) and issubclass(item, BaseException)
        if not is_class and not (isinstance(item, str) and item):
            raise TypeError(f"{name} holds {item!r}, which is no exception class")
    return tuple(given)


def _filter_name(item: ExceptionFilter) -> str:
    return item if isinstance(item, str) else class_name(item)


def _duration(ns: object) -> Duration:
    if isinstance(ns, bool) or not isinstance(ns, int):
        raise ValueError(f"{ns!r} is no number of nanoseconds")
    return from_ns(ns)
