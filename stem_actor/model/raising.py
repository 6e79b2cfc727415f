"""Raising: the typed object that a plain value stands for, by an annotation."""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeGuard

import msgspec

from stem_actor.errors import PayloadError

__all__ = ["ForeignModel", "is_foreign_model", "raise_"]

_NATIVE: Final = (bytes,)  # MessagePack has bytes; msgspec would make text of them


class ForeignModel(Protocol):
    """The two methods that make a class a Pydantic model; the library is not needed."""

    def model_dump(self, *, by_alias: bool, round_trip: bool) -> dict[str, Any]: ...

    @classmethod
    def model_validate(cls, obj: Any) -> Any: ...


def is_foreign_model(annotation: object) -> TypeGuard[type[ForeignModel]]:
    """Return whether *annotation* is a class of Pydantic models."""
    return isinstance(annotation, type) and all(
        callable(getattr(annotation, name, None))
        for name in ("model_dump", "model_validate")
    )


def raise_(value: object, annotation: Any, *, path: str = "value") -> Any:
    """
    Return the object of type *annotation* that *value*, a plain value, stands for.

    Strict: text is not a number. A Pydantic model goes by its own rules.

    Raises:
        PayloadError: If it does not fit; ``path`` names the place, the message the
            expected and the given type.
    """
    try:
        return msgspec.convert(
            value,
            annotation,
            builtin_types=_NATIVE,
            str_keys=True,
            strict=True,
            dec_hook=_validated,
        )
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        place = path + place.rstrip("`")
        text = text[:1].lower() + text[1:]
        raise PayloadError(f"{place}: {text}", path=place) from error


def _validated(cls: type, value: Any) -> Any:
    if not is_foreign_model(cls):
        given = "None" if value is None else type(value).__name__
        raise ValueError(f"expected `{cls.__name__}`, got `{given}`")
    try:
        return cls.model_validate(value)
    except ValueError as error:
        raise ValueError(_first_line(error)) from error


def _first_line(error: ValueError) -> str:
    """Return what a validation says of its first finding, in one line."""
    findings: Any = getattr(error, "errors", None)
    if findings is None:
        return str(error)
    first: dict[str, Any] = findings()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
