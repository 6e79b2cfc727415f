"""
Lowering and raising: typed objects as plain values, and back, by their annotations.

Dataclasses, attrs classes, msgspec Structs, TypedDicts, Pydantic models, datetimes,
Decimals, UUIDs, enums, sets and whatever else msgspec knows. Strict: text is not a
number, and what does not fit an annotation is an error that names the place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast, is_typeddict

import msgspec

from stem_actor.errors import PayloadError
from stem_actor.model.error import class_name
from stem_actor.model.raising import ForeignModel, is_foreign_model, raise_
from stem_actor.payload.wire import child_path

__all__ = ["check_annotation", "is_record", "lower", "raise_"]

_NATIVE: Final = (bytes,)  # MessagePack has bytes; msgspec would make text of them


def lower(value: object, *, path: str = "value") -> object:
    """
    Return *value* as plain values.

    Raises:
        PayloadError: If a part of it is of no type that msgspec knows; ``path``
            names it.
    """
    try:
        return _plain(value)
    except (TypeError, ValueError, RecursionError) as error:
        place, culprit = _culprit(value, path)
        raise PayloadError(
            f"{place} is a {class_name(type(culprit))}, which has no wire form",
            path=place,
            hint="use a dataclass, a TypedDict or a plain value for it",
        ) from error


def is_record(annotation: object) -> bool:
    """Return whether *annotation* is a class whose plain form is a map: a DTO."""
    if not isinstance(annotation, type):
        return False
    if issubclass(annotation, msgspec.Struct):
        return not annotation.__struct_config__.array_like
    return (
        dataclasses.is_dataclass(annotation)
        or is_typeddict(annotation)
        or "__attrs_attrs__" in vars(annotation)
        or is_foreign_model(annotation)
    )


def check_annotation(annotation: Any, *, path: str) -> None:
    """
    Refuse an annotation whose values could be neither lowered nor raised.

    Raises:
        PayloadError: If msgspec knows *annotation* or a part of it not at all.
    """
    try:
        found = msgspec.inspect.type_info(annotation)
    except (TypeError, NameError) as error:
        raise PayloadError(
            f"the annotation of {path} has no wire form: {error}", path=path
        ) from error
    for custom in _custom_types(found, set()):
        raise PayloadError(
            f"the annotation of {path} has no wire form: {custom!r}",
            path=path,
            hint="use a dataclass, a TypedDict or a plain value for it",
        )


def _plain(value: object) -> object:
    return msgspec.to_builtins(
        value, builtin_types=_NATIVE, str_keys=True, enc_hook=_dumped
    )


def _dumped(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if not is_foreign_model(type(value)):
        raise TypeError(f"{class_name(type(value))} has no wire form")
    model = cast("ForeignModel", value)
    return model.model_dump(by_alias=True, round_trip=True)


def _culprit(value: object, path: str) -> tuple[str, object]:
    """Return the path and the object of the deepest part that cannot be lowered."""
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        for key, item in _parts(value):
            try:
                _plain(item)
            except (TypeError, ValueError, RecursionError):
                path, value = child_path(path, key), item
                break
        else:
            break
    return path, value


def _parts(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from enumerate(value)
    elif is_record(type(value)):
        for name in getattr(type(value), "__annotations__", {}):
            yield name, getattr(value, name, None)


def _custom_types(found: object, seen: set[int]) -> Iterator[type]:
    """Yield each type below *found* that msgspec only passes through."""
    if id(found) in seen:
        return
    seen.add(id(found))
    if isinstance(found, msgspec.inspect.CustomType):
        if found.cls is not object and not is_foreign_model(found.cls):
            yield found.cls  # ``object`` is any value, as Any is
    elif isinstance(found, msgspec.inspect.Type | msgspec.inspect.Field):
        for name in found.__struct_fields__:
            yield from _custom_types(getattr(found, name), seen)
    elif isinstance(found, tuple):
        for item in found:
            yield from _custom_types(item, seen)
