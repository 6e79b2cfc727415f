"""ExceptionCatalog: which exceptions of a worker are rebuilt where a result is read."""

from __future__ import annotations

import builtins
from typing import Final

from stem_actor.model.error import TaskError, class_name

__all__ = ["ExceptionCatalog"]

# What they need to be built does not cross the wire.
_UNBUILDABLE: Final = (UnicodeError, ExceptionGroup)

_BUILTINS: Final = {
    class_name(cls): cls
    for cls in vars(builtins).values()
    if isinstance(cls, type)
    and issubclass(cls, Exception)
    and not issubclass(cls, (*_UNBUILDABLE, Warning))
}


class ExceptionCatalog:
    """
    The classes that may be rebuilt, by their qualified names.

    A list and never an import: a name in a message must not decide which code runs.
    The common exceptions of ``builtins`` are in it from the beginning.
    """

    def __init__(self) -> None:
        self._classes: dict[str, type[Exception]] = dict(_BUILTINS)

    def add(self, *classes: type[Exception]) -> None:
        """
        Allow *classes* to be rebuilt.

        Raises:
            TypeError: If one is no subclass of Exception.
        """
        for cls in classes:
            if not (isinstance(cls, type) and issubclass(cls, Exception)):
                raise TypeError(f"{cls!r} is no exception class")
        self._classes.update((class_name(cls), cls) for cls in classes)

    def rebuild(self, error: TaskError) -> Exception | None:
        """
        Return the exception that *error* records, or None if its class is not known.

        It is built from its message; a class whose constructor refuses that gets it
        as its only argument, without the constructor being run.
        """
        cls = self._classes.get(error.bases[0]) if error.bases else None
        if cls is None:
            return None
        try:
            return cls(error.message)
        except Exception:
            rebuilt = cls.__new__(cls)
            rebuilt.args = (error.message,)
            return rebuilt
