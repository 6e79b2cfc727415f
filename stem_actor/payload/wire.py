"""
The wire form of arguments and values: MessagePack of plain values.

Plain are None, bool, int of 64 bits, float, str, bytes, list (a tuple becomes one)
and dict with str keys: exact types, because a subclass would come back as something
else. Richer types are lowered first, see ``payload.lowering``.

msgspec writes it: 50 ns for two arguments, where msgpack's ``packb`` takes 340. It
would also take datetimes, enums and int keys on its own terms, so values are checked
first, flat ones at the speed of C.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from stem_actor.errors import PayloadError
from stem_actor.model.error import class_name

__all__ = [
    "MAX_DEPTH",
    "MAX_NODES",
    "child_path",
    "pack_args",
    "pack_value",
    "unpack",
]

MAX_DEPTH: Final = 64
"""Containers inside one another; the worker's scan before decoding allows as many."""

MAX_NODES: Final = 100_000
"""Values in one, keys and containers counted: what decoding may cost; likewise."""

_FLAT: Final = frozenset({type(None), bool, int, float, str, bytes})
_CONTAINERS: Final = frozenset({list, tuple, dict})
_KEYS: Final = frozenset({str})
_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 64) - 1

_encode: Final = msgspec.msgpack.Encoder().encode


def pack_args(args: Mapping[str, object]) -> bytes:
    """
    Return the wire form of *args*, the bound arguments of a call.

    Raises:
        PayloadError: If a value has no wire form; ``path`` names the place, for
            example ``args.items[3].when``.
    """
    if type(args) is not dict:
        args = dict(args)
    for name, value in args.items():  # the hot path: a few scalars
        if type(value) not in _FLAT or type(name) is not str:
            return pack_value(args, path="args")
    try:
        return _encode(args)
    except (OverflowError, UnicodeEncodeError) as error:
        raise _explain(args, "args") from error


def pack_value(value: object, *, path: str = "value") -> bytes:
    """
    Return the wire form of *value*.

    Args:
        value: A plain value.
        path: What the value is called in errors.

    Raises:
        PayloadError: If the value or a part of it has no wire form.
    """
    if type(value) not in _FLAT and not _is_plain(value, MAX_DEPTH):
        raise _explain(value, path)
    try:
        packed = _encode(value)
    except (OverflowError, UnicodeEncodeError, ValueError) as error:
        raise _explain(value, path) from error
    if len(packed) > MAX_NODES:  # each takes a byte at least
        _require_few(value, path)
    return packed


def unpack(buffer: bytes | bytearray | memoryview) -> object:
    """
    Return the value that *buffer* holds; bytes and text are copied out of it.

    Other writers may have put in what ``pack_value`` refuses (int keys,
    timestamps); it comes through.

    Raises:
        PayloadError: If *buffer* is not one whole MessagePack value, holds an
            extension type, or is nested too deeply.
    """
    try:
        return _DECODER.decode(buffer)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise PayloadError(
            f"the payload cannot be read: {error}", path="payload"
        ) from error


def child_path(path: str, key: object) -> str:
    """Return the path of *key* below *path*: ``.name``, ``[3]`` or ``["a b"]``."""
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}"
    return f"{path}[{key!r}]"


def _refuse_extension(code: int, data: memoryview) -> object:
    raise ValueError(f"it holds {len(data)} bytes of the extension type {code}")


_DECODER: Final = msgspec.msgpack.Decoder(ext_hook=_refuse_extension)


def _is_plain(value: object, depth: int) -> bool:
    """Return whether *value* has a wire form, except for what only encoding shows."""
    if depth == 0:
        return False
    items: Iterable[object]
    if type(value) is dict:
        if not _KEYS.issuperset(map(type, value)):
            return False
        items = value.values()
    elif type(value) is list or type(value) is tuple:
        items = value
    else:
        return False
    if _FLAT.issuperset(map(type, items)):
        return True
    return all(type(item) in _FLAT or _is_plain(item, depth - 1) for item in items)


def _require_few(value: object, path: str) -> None:
    """
    Refuse a plain *value* of more than ``MAX_NODES`` values.

    Raises:
        PayloadError: It names the deepest part that is too large by itself.
    """
    if _count(value) <= MAX_NODES:
        return
    for key, item in _pairs(value):
        _require_few(item, child_path(path, key))
    raise PayloadError(
        f"{path} has more than {MAX_NODES:,} values in it",
        path=path,
        hint="pass large data as bytes, or a reference to where it is kept",
    )


def _count(value: object) -> int:
    """Return how many values *value* is, or any number above ``MAX_NODES``."""
    total, waiting = 0, [value]
    while waiting and total <= MAX_NODES:
        one = waiting.pop()
        total += 1
        if isinstance(one, dict):
            total += len(one)
            items: Iterable[object] = one.values()
        elif isinstance(one, list | tuple):
            items = one
        else:
            continue
        if _FLAT.issuperset(map(type, items)):
            total += len(one)
        else:
            waiting.extend(items)
    return total


def _pairs(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    return ()


def _explain(value: object, path: str) -> PayloadError:
    """Return the error for the first place in *value* that has no wire form."""
    place = _first_problem(value, path, MAX_DEPTH)
    # Unreachable unless another thread mended the value between the two walks.
    return place or PayloadError(f"{path} changed while it was packed", path=path)


def _first_problem(value: object, path: str, depth: int) -> PayloadError | None:
    if type(value) in _FLAT:
        return _scalar_problem(value, path)
    if type(value) not in _CONTAINERS:
        return _type_problem(value, path)
    if depth == 0:
        return PayloadError(
            f"{path} is nested more than {MAX_DEPTH} levels deep",
            path=path,
            hint="does it contain itself?",
        )
    for key, item in _pairs(value):
        below = child_path(path, key)
        if type(value) is dict and (type(key) is not str or _lone_surrogate(key)):
            return PayloadError(
                f"{path} has the key {key!r}; keys must be valid text",
                path=below,
                hint="use str keys, or a list of pairs",
            )
        problem = _first_problem(item, below, depth - 1)
        if problem is not None:
            return problem
    return None


def _scalar_problem(value: object, path: str) -> PayloadError | None:
    if isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        return PayloadError(
            f"{path} is an int of {value.bit_length()} bits, out of the range "
            "-2**63 to 2**64 - 1",
            path=path,
            hint="pass it as str",
        )
    if isinstance(value, str) and _lone_surrogate(value):
        return PayloadError(
            f"{path} is a str with undecodable characters: {value[:40]!r}",
            path=path,
            hint="pass bytes, for a file name os.fsencode(name)",
        )
    return None


def _lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _type_problem(value: object, path: str) -> PayloadError:
    cls = type(value)
    plain = next((base for base in cls.__mro__ if base in _FLAT | _CONTAINERS), None)
    if isinstance(value, set | frozenset):
        hint = "pass a list"
    elif plain is not None:
        hint = f"pass a plain {plain.__name__}, or annotate the parameter with its type"
    else:
        hint = (
            "annotate the parameter with its type, or pass None, bool, int, float, "
            "str, bytes, list or dict"
        )
    return PayloadError(
        f"{path} is a {class_name(cls)}, which has no wire form",
        path=path,
        hint=hint,
    )
