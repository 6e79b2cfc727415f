"""The definition of a task: its place and default name, and what makes it wrong."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from stem_actor.model.enqueue_options import TaskOptionsDict
from stem_actor.model.options import TaskOptions

__all__ = [
    "coroutine_problems",
    "default_name",
    "definition_problems",
    "name_problems",
    "place_of",
    "unknown_options",
]

_MAINS: Final = ("__main__", "__mp_main__")  # the second: in an importing zygote
_PACKAGE: Final = f"{Path(__file__).parent.parent}/"
_NAME_BYTES: Final = 255
#: Limits of a process, which a coroutine has not for itself.
_PROCESS_LIMITS: Final = ("memory_limit", "cpu_limit")


def place_of(handler: Any) -> str:
    """
    Return where *handler* is defined, as ``file:line``; of one without code, such as
    a class or a builtin, where it is made a task.
    """
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if frame is None:
        return repr(handler)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def default_name(handler: Callable[..., Any]) -> str:
    """Return ``module.qualname``; for a script, its stem stands for the module."""
    module = getattr(handler, "__module__", None) or "__main__"
    qualname = getattr(handler, "__qualname__", type(handler).__name__)
    if module in _MAINS:
        # From the file and not from __spec__: an importing worker has only that.
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None:
            path = Path(file)
            module = path.parent.name if path.stem == "__main__" else path.stem
    return f"{module}.{qualname}"


def definition_problems(
    handler: Callable[..., Any], names: Iterable[object], options: Mapping[str, object]
) -> list[str]:
    """Return what is wrong with a task before its options are looked at closely."""
    problems = _handler_problems(handler)
    for name in names:
        problems += name_problems(name)
    return problems + unknown_options(options)


def coroutine_problems(options: TaskOptions) -> list[str]:
    """Return which of *options* cannot be honoured for a coroutine handler."""
    return [
        f"{name} needs a plain handler: a coroutine shares its process with others, "
        "and what each of them uses cannot be told; write def instead of async def, "
        "or set the marks of WorkerLifecycle"
        for name in _PROCESS_LIMITS
        if getattr(options, name) is not None
    ]


def _handler_problems(handler: Callable[..., Any]) -> list[str]:
    if not callable(handler):
        return [f"{handler!r} is no function"]
    if isinstance(handler, type):
        return ["a class is no handler; pass a function"]
    for is_wrong in (inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        if is_wrong(handler):
            return ["a generator has no single result; return a list"]
    try:
        parameters = list(inspect.signature(handler).parameters)
    except (TypeError, ValueError):
        return ["its parameters cannot be read; call it from a function of your own"]
    if _is_method(handler, parameters):
        return [
            "a method is no handler: no worker has the object; make it a function "
            "outside of the class, or a @staticmethod below the decorator"
        ]
    return []


def _is_method(handler: Callable[..., Any], parameters: list[str]) -> bool:
    """Whether *handler* is being defined in a class, as one that needs an object."""
    outer, _, _ = getattr(handler, "__qualname__", "").rpartition(".")
    in_class = bool(outer) and not outer.endswith("<locals>")
    is_bound = inspect.ismethod(handler)
    return in_class and not is_bound and parameters[:1] in (["self"], ["cls"])


def name_problems(name: object) -> list[str]:
    """Return what is wrong with the name of a task."""
    if not isinstance(name, str) or not name or not name.isprintable():
        return [f"its name must be printable text, not {name!r}"]
    if len(name.encode()) > _NAME_BYTES:
        return [f"its name has more than {_NAME_BYTES} bytes"]
    return []


def unknown_options(options: Mapping[str, object]) -> list[str]:
    """Return which of *options* there are not, each with the nearest that there is."""
    known = TaskOptionsDict.__annotations__
    problems = []
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(f"there is no option {name!r}{hint}")
    return problems
