"""What the annotations of a handler say: its context, its checks, its rich types."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable
from contextlib import suppress
from typing import (
    Annotated,
    Any,
    Final,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

__all__ = ["accepted_types", "is_context", "is_wire", "resolve"]

_CONTEXTS: Final = frozenset(
    {"TaskContext", "TaskInvocationContext", "TaskExecutionContext"}
)
_CONTEXT_TEXT: Final = re.compile(rf"(?:\w+\.)*(?:{'|'.join(_CONTEXTS)})(?:\[.*\])?")
_WIRE: Final = frozenset({bool, int, float, str, bytes, list, dict, types.NoneType})


def resolve(annotation: Any, function: Callable[..., object]) -> Any:
    """
    Return *annotation* with the strings in it evaluated where *function* stands.

    One that cannot be evaluated (a name imported under TYPE_CHECKING, a class defined
    later or inside a function) is returned as it is.
    """
    inner = inspect.unwrap(function)
    names = dict(getattr(inner, "__globals__", {}))
    if inspect.isfunction(inner):
        names.update(_closure(inner))

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    try:
        return get_type_hints(holder, names, include_extras=True)["it"]
    except Exception:  # whatever the expression raises, it has no value yet
        return annotation


def _closure(function: types.FunctionType) -> dict[str, object]:
    """The locals of enclosing functions that *function* uses, if bound by now."""
    found: dict[str, object] = {}
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        with suppress(ValueError):  # an empty cell: it is bound later
            found[name] = cell.cell_contents
    return found


def is_context(annotation: Any) -> bool:
    """
    Return whether *annotation* names the task context.

    By name, so that this module knows no context class, and so that the annotation
    may be a string whose import only the type checker sees.
    """
    if isinstance(annotation, str):
        return _CONTEXT_TEXT.fullmatch(annotation.strip().strip("'\"")) is not None
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type):
        return False
    return any(base.__name__ in _CONTEXTS for base in cls.__mro__)


def accepted_types(annotation: Any) -> tuple[type, ...] | None:
    """
    Return the classes an argument may be an instance of; None: not checked here.

    ``float`` accepts int, as type checkers have it. The items of containers are
    left to packing, lowering and raising.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return accepted_types(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        accepted: list[type] = []
        for member in get_args(annotation):
            classes = accepted_types(member)
            if classes is None:
                return None
            accepted.extend(classes)
        return tuple(dict.fromkeys(accepted))
    cls = origin or annotation
    if not isinstance(cls, type) or cls in (object, Any) or is_typeddict(cls):
        return None  # Any is a class from 3.11 on
    return (float, int) if cls is float else (cls,)


def is_wire(annotation: Any) -> bool:
    """Return whether values of *annotation* are packed as they are."""
    if annotation in (Any, object, inspect.Parameter.empty):
        return True
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is None:
        return isinstance(annotation, type) and annotation in _WIRE
    if origin is Union or origin is types.UnionType or origin is list:
        return all(map(is_wire, members))
    return origin is dict and members[0] is str and is_wire(members[1])
