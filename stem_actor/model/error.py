"""TaskError: an exception as a value that crosses processes and is stored."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stem_actor.model.readers import MetaReaders
from stem_actor.model.verdict import VERDICT, Verdict

__all__ = ["MESSAGE_BYTES", "STACK_BYTES", "TaskError", "class_name", "class_names"]

MESSAGE_BYTES: Final = 2 * 1024
STACK_BYTES: Final = 16 * 1024
_NAME_BYTES: Final = 256
_BASES: Final = 32

_CUT: Final = "\n... cut ...\n"


@dataclass(frozen=True, slots=True)
class TaskError(MetaReaders):
    """
    What went wrong in a task, in words.

    Attributes:
        type: Name of the exception class, without its module.
        message: Its text; at most 2 KiB of UTF-8.
        stack: The traceback as text, at most 16 KiB of UTF-8, or None.
        retryable: Whether another attempt follows this error.
        meta: Further facts, wire values only.
        bases: Qualified names of the class and of every class it derives from,
            nearest first, so that ``auto_retry_for`` matches subclasses in a
            process that has never imported them.
    """

    type: str = "Unknown"
    message: str = ""
    stack: str | None = None
    retryable: bool = False
    meta: Mapping[str, object] = field(default_factory=dict)
    bases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bound every text; an error must never be too large to be recorded."""
        _set = object.__setattr__
        _set(self, "type", _bounded(self.type, _NAME_BYTES))
        _set(self, "message", _bounded(self.message, MESSAGE_BYTES))
        if self.stack is not None:
            _set(self, "stack", _bounded(self.stack, STACK_BYTES))
        names = (_bounded(name, _NAME_BYTES) for name in self.bases[:_BASES])
        _set(self, "bases", tuple(names))

    @classmethod
    def from_exception(
        cls,
        exc: BaseException,
        *,
        retryable: bool = False,
        meta: Mapping[str, object] | None = None,
    ) -> TaskError:
        """Return the record of *exc*; never raises, however odd the exception is."""
        return cls(
            type=type(exc).__name__,
            message=_text_of(exc),
            stack=_stack_of(exc),
            retryable=retryable,
            meta=dict(meta or {}),
            bases=class_names(type(exc)),
        )

    @property
    def verdict(self) -> Verdict | None:
        """How the start with this error ended; None: there was none."""
        wire = self.meta.get(VERDICT)
        if not isinstance(wire, Mapping):
            return None
        return Verdict.from_wire(wire, stack=self.stack)

    def to_wire(self) -> dict[str, object]:
        """Return the plain map that ``from_wire`` reads."""
        return {
            "type": self.type,
            "message": self.message,
            "stack": self.stack,
            "retryable": self.retryable,
            "meta": dict(self.meta),
            "bases": list(self.bases),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, object]) -> TaskError:
        """
        Return the error that *wire* describes; missing keys get their defaults.

        Raises:
            ValueError: If a key holds a value of the wrong type.
        """
        stack = wire.get("stack")
        if stack is not None and not isinstance(stack, str):
            raise _wrong("stack", stack)
        retryable = wire.get("retryable", False)
        if not isinstance(retryable, bool):
            raise _wrong("retryable", retryable)
        meta = wire.get("meta", {})
        if not isinstance(meta, Mapping):
            raise _wrong("meta", meta)
        bases = wire.get("bases", ())
        if not isinstance(bases, list | tuple):
            raise _wrong("bases", bases)
        return cls(
            type=_string(wire, "type", "Unknown"),
            message=_string(wire, "message", ""),
            stack=stack,
            retryable=retryable,
            meta={str(key): value for key, value in meta.items()},
            bases=tuple(str(base) for base in bases[:_BASES]),
        )


def class_name(cls: type) -> str:
    """
    Return ``module.qualname`` of *cls*.

    ``__mp_main__`` is what ``__main__`` is called in an importing zygote; both are
    the user's script, so both have the same name here.
    """
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return f"{module}.{cls.__qualname__}"


def class_names(cls: type[BaseException]) -> tuple[str, ...]:
    """Return the names of *cls* and its bases, nearest first, without ``object``."""
    return tuple(class_name(base) for base in cls.__mro__ if base is not object)


def _text_of(exc: BaseException) -> str:
    try:
        return str(exc)
    except BaseException as second:  # whatever it raises, there is a report to make
        return f"<str() of the {type(exc).__name__} raised {type(second).__name__}>"


def _stack_of(exc: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(exc))
    except BaseException as second:
        return f"<formatting the traceback raised {type(second).__name__}>"


def _bounded(text: str, limit: int) -> str:
    """
    Return *text* in at most *limit* bytes of valid UTF-8.

    The middle is cut, because the head of a traceback says who called and its tail
    says what broke. Lone surrogates (undecodable file names are full of them)
    become backslash escapes: no wire form could carry them.
    """
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= limit:
        return raw.decode()
    room = limit - len(_CUT)
    head = raw[: room // 4].decode("utf-8", "ignore")
    tail = raw[len(raw) - (room - room // 4) :].decode("utf-8", "ignore")
    return head + _CUT + tail


def _string(wire: Mapping[str, object], key: str, default: str) -> str:
    value = wire.get(key, default)
    if not isinstance(value, str):
        raise _wrong(key, value)
    return value


def _wrong(key: str, value: object) -> ValueError:
    return ValueError(f"task error: {key!r} holds a {type(value).__name__}")
