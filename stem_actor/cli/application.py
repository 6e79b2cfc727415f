"""Finding the user's app: ``module:attribute``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Final

from stem_actor import Stem, StemApp
from stem_actor.errors import SettingsError

__all__ = ["find_app"]

#: Of the module's name; with the hash it stays below the 100 of a ring's name.
_NAME_CHARS: Final = 60


def find_app(reference: str, *, with_traceback: bool = False) -> StemApp:
    """
    Import ``module:attribute`` and return the app that it names.

    The working directory comes first on ``sys.path``, as with ``python -m``. A ring
    without a name gets that of the module and a hash of its file's path: no host is
    there to whom it could be private, every command finds it by the same words, and
    two projects with a module of one name have two rings.

    Args:
        reference: The words of the command line.
        with_traceback: Whether the traceback of a module that fails goes to stderr.

    Raises:
        SettingsError: If there is no such module or attribute, it is no StemApp, or
            the module fails while it is imported; names the error and its place.
    """
    module_name, separator, attribute = reference.partition(":")
    if not separator or not module_name or not attribute:
        raise SettingsError(
            [f"{reference!r} names no app"],
            hint='use "module:app", the module as in an import: "shop.tasks:app"',
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    _require_module(module_name)
    found = _import(module_name, with_traceback=with_traceback)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise SettingsError(
                [f"module {module_name!r} has no {attribute!r}"],
                hint=f"its apps: {', '.join(_apps_in(module_name)) or 'none'}",
            )
        found = getattr(found, part)
    if isinstance(found, Stem):
        found = found.app
    if not isinstance(found, StemApp):
        raise SettingsError(
            [f"{reference} is no StemApp but of type {type(found).__name__}"],
            hint=f"its apps: {', '.join(_apps_in(module_name)) or 'none'}",
        )
    if found.settings.locate().is_anonymous:
        found.settings = replace(found.settings, broker=_url_of(module_name))
    return found


def _import(module_name: str, *, with_traceback: bool) -> object:
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if with_traceback:
            traceback.print_exception(error)
        what = ": ".join(filter(None, (type(error).__name__, str(error))))
        raise SettingsError(
            [f"module {module_name!r} cannot be imported: {what} ({_place_of(error)})"],
            hint=None if with_traceback else "--traceback shows how it came to that",
        ) from error


def _place_of(error: BaseException) -> str:
    """Return file and line where *error* was raised, without the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.relpath(error.filename)}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen ")
        and frame.filename not in (__file__, importlib.__file__)
    ]
    if not frames:
        return "before its first line"
    return f"{os.path.relpath(frames[-1].filename)}:{frames[-1].lineno}"


def _url_of(module_name: str) -> str:
    file = getattr(sys.modules[module_name], "__file__", None) or module_name
    place = hashlib.blake2b(os.fsencode(os.path.realpath(file)), digest_size=4)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", module_name)[:_NAME_CHARS]
    return f"ring://{name}-{place.hexdigest()}"


def _require_module(name: str) -> None:
    """Tell a module that is not there from one that fails while it is imported."""
    try:
        is_there = importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        is_there = False
    if not is_there:
        hint = f"looked in {Path.cwd()} and on sys.path"
        if name.endswith(".py") or "/" in name:
            plain = name.removesuffix(".py").strip("./").replace("/", ".")
            hint = f"it is named as in an import, {plain!r}"
        raise SettingsError([f"there is no module {name!r}"], hint=hint)


def _apps_in(module_name: str) -> list[str]:
    module = sys.modules[module_name]
    return sorted(n for n, it in vars(module).items() if isinstance(it, StemApp | Stem))
