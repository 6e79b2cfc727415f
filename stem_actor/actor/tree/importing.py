"""
Finding the user's code by name, in a process that is no copy of the host.

The host says what to import (``ImportSpec``); the zygote, or with ``spawn`` each
worker, imports it. A script's ``__main__`` is loaded from its file as ``__mp_main__``,
so that its ``if __name__ == "__main__":`` part does not run again.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from types import MethodType, ModuleType

from stem_actor.errors import HandlerNotImportable, SettingsError

MAIN = "__main__"
_MAIN_ALIAS = "__mp_main__"

_importing = False


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """
    Where the user's code is.

    Attributes:
        body: The worker's body as ``module:qualname``.
        prepare: What the zygote calls once, likewise; None for nothing.
        handlers: Task name → handler: their modules are imported.
        hooks: Functions that each worker calls: their modules are imported too.
        modules: Modules to import beside those.
        unreachable: By the name of its setting, what no global leads to.
    """

    body: str
    prepare: str | None = None
    handlers: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    hooks: tuple[Callable[[], object], ...] = ()
    modules: tuple[str, ...] = ()
    unreachable: Mapping[str, object] = field(default_factory=dict)

    def all_modules(self) -> tuple[str, ...]:
        """
        Return every module to import, each once.

        Raises:
            HandlerNotImportable: If a handler or a hook cannot be found by its name.
        """
        found = [require_importable(name, it) for name, it in self.handlers.items()]
        found += hook_places(self.hooks)
        wanted = [*self.modules, *(reference.split(":")[0] for reference in found)]
        return tuple(dict.fromkeys(wanted))


def is_importing() -> bool:
    """Return whether this process is importing the user's modules right now."""
    return _importing


def require_importable(
    name: str, handler: Callable[..., object], *, what: str = "handler of"
) -> str:
    """
    Return where *handler* is found, as ``module:qualname``.

    Args:
        name: The task's name, or the hook's, for the message.
        handler: The user's function.
        what: What it is to that name, likewise.

    Raises:
        HandlerNotImportable: If it is a lambda, is defined inside a function, or in
            a ``__main__`` that has no file (a notebook, the interactive prompt).
    """
    module = getattr(handler, "__module__", None)
    qualname = getattr(handler, "__qualname__", None)
    reason = None
    if not isinstance(module, str) or not isinstance(qualname, str):
        reason = f"a {type(handler).__name__} has no name to find it by"
    elif isinstance(handler, MethodType) and not isinstance(handler.__self__, type):
        reason = f"{qualname} is bound to an object, which has no name"
    elif "<lambda>" in qualname:
        reason = "it is a lambda"
    elif "<locals>" in qualname:
        reason = f"{qualname} is defined inside a function"
    elif module == MAIN and main_location() is None:
        reason = "it is defined in an interactive session, which has no file"
    if reason is not None:
        raise HandlerNotImportable(name, reason=reason, what=what)
    return f"{module}:{qualname}"


def hook_places(hooks: Iterable[Callable[[], object]]) -> tuple[str, ...]:
    """
    Return where each of *hooks* is found, as ``module:qualname``, in their order.

    Raises:
        HandlerNotImportable: As ``require_importable``; or if two of one place differ,
            of which only the later could be found.
    """
    found: dict[str, Callable[[], object]] = {}
    places = []
    for hook in hooks:
        name = getattr(hook, "__qualname__", type(hook).__name__)
        place = require_importable(name, hook, what="hook")
        if found.setdefault(place, hook) != hook:
            reason = f"two hooks are called {place}"
            raise HandlerNotImportable(name, reason=reason, what="hook")
        places.append(place)
    return tuple(places)


def place_of(wanted: object) -> str | None:
    """
    Return which global holds *wanted*, as ``module:name``; None if none does.

    A worker that imports the module has one made by the same statement. Where an
    ``if __name__ == "__main__":`` block made it, the worker has none, and says so.

    Args:
        wanted: The object itself; equal ones do not count.
    """
    for module_name, module in tuple(sys.modules.items()):
        is_unnamed = module_name == MAIN and main_location() is None
        if is_unnamed or module_name == _MAIN_ALIAS:
            continue
        if not issubclass(type(module), ModuleType):  # anything may stand in there
            continue
        # Past __getattribute__: a lazy module would be loaded by the look.
        for name, value in tuple(object.__getattribute__(module, "__dict__").items()):
            if value is wanted:
                return f"{module_name}:{name}"
    return None


def main_location() -> Mapping[str, str] | None:
    """Return where ``__main__`` came from: ``module`` or ``path``; None for nowhere."""
    main = sys.modules[MAIN]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return {"module": spec.name}
    path = getattr(main, "__file__", None)
    if path is None or not os.path.isfile(path):
        return None
    return {"path": os.path.abspath(path)}


def import_all(modules: tuple[str, ...], main: Mapping[str, str] | None) -> None:
    """
    Import *modules*; ``__main__`` among them is loaded from *main*.

    Raises:
        ImportError: If one is not found; and whatever a module raises.
    """
    global _importing
    _importing = True
    try:
        for module in modules:
            if module == MAIN:
                _load_main(main)
            else:
                importlib.import_module(module)
    finally:
        _importing = False


def resolve(reference: str) -> Callable[..., object]:
    """
    Return the object that ``module:qualname`` names; the module is imported.

    Raises:
        SettingsError: If there is no such thing, or it cannot be called.
    """
    found = resolve_object(reference)
    if not callable(found):
        raise SettingsError([f"{reference!r} is a {type(found).__name__}, no function"])
    return found


def resolve_object(reference: str) -> object:
    """
    Return whatever ``module:qualname`` names; the module is imported.

    Raises:
        SettingsError: If there is no such thing.
    """
    module, _, qualname = reference.partition(":")
    try:
        found: object = reduce(
            getattr, qualname.split("."), importlib.import_module(module)
        )
    except (AttributeError, ImportError) as error:
        raise SettingsError(
            [f"{reference!r} cannot be found: {error}"],
            hint='define it above `if __name__ == "__main__":`',
        ) from error
    return found


def _load_main(main: Mapping[str, str] | None) -> None:
    if main is None:
        raise ImportError("__main__ has no file it could be loaded from")
    # One module under both names: a global that a handler sets is seen by either.
    module = ModuleType(_MAIN_ALIAS)
    sys.modules[_MAIN_ALIAS] = sys.modules[MAIN] = module
    if "module" in main:
        spec = importlib.util.find_spec(main["module"])
        if spec is None or spec.loader is None or spec.origin is None:
            raise ImportError(f"the main module {main['module']} is not found")
        path = spec.origin
        module.__package__ = spec.parent  # relative imports go by this
    else:
        path = main["path"]
    module.__file__ = path
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    exec(code, module.__dict__)  # noqa: S102 - it is the user's own program
