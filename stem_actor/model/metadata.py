"""TaskMetadata: what is said about a task beside how it is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["PayloadEncoder", "TaskMetadata"]


class PayloadEncoder(Protocol):
    """What an encoder has; see ``TaskPayloadEncoder``, which is one to derive from."""

    @property
    def id(self) -> str:
        """What payloads of this encoder are marked with."""
        ...

    def encode(self, value: object) -> object:
        """Return the form in which *value* leaves the process."""
        ...

    def decode(self, stored: object) -> object:
        """Return the value of which ``encode`` has made *stored*."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMetadata:
    """
    Facts about a task, for people and tools, and its encoders.

    Attributes:
        description: What it does, in a sentence.
        tags: Words to find it by.
        idempotent: Whether to run it twice does no more than to run it once.
        attributes: Further facts.
        args_encoder: Encodes its arguments; None: the app's encoder does.
        result_encoder: Encodes its result, errors, progress and kept meta; likewise.

    Raises:
        TypeError: If an encoder is none; ``tags`` are one str instead of several.
    """

    description: str | None = None
    tags: tuple[str, ...] = ()
    idempotent: bool = False
    attributes: Mapping[str, object] = field(default_factory=dict)
    args_encoder: PayloadEncoder | None = None
    result_encoder: PayloadEncoder | None = None

    @property
    def has_encoders(self) -> bool:
        """Whether it names an encoder of the task's own."""
        return self.args_encoder is not None or self.result_encoder is not None

    def __post_init__(self) -> None:
        if isinstance(self.tags, str):
            raise TypeError(f"tags must be several words, not the text {self.tags!r}")
        object.__setattr__(self, "tags", tuple(self.tags))
        for name in ("args_encoder", "result_encoder"):
            problem = encoder_problem(getattr(self, name))
            if problem is not None:
                raise TypeError(f"{name}: {problem}")


def encoder_problem(encoder: object) -> str | None:
    """Return why *encoder* is none, in words; None is none and no problem."""
    if encoder is None:
        return None
    if isinstance(encoder, type):
        return f"{encoder.__name__} is a class; pass an object of it"
    for name in ("encode", "decode"):
        if not callable(getattr(encoder, name, None)):
            return f"a {type(encoder).__name__} has no {name} method"
    found = getattr(encoder, "id", None)
    if not isinstance(found, str) or not found or not found.isprintable():
        return f"the id of a {type(encoder).__name__} must be printable text"
    if len(found.encode()) > _ID_BYTES:
        return f"the id of a {type(encoder).__name__} has more than {_ID_BYTES} bytes"
    return None


_ID_BYTES = 100
