"""The fields of a request from the control socket: each checked, each bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stem_actor.errors import StemError

__all__ = ["Request", "number_in", "queue_in", "task_id_in", "task_ids_in", "text_in"]

Request = Mapping[str, Any]

_ID_BYTES: Final = 16
_IDS_MAX: Final = 10_000
#: ``SA_NAME_MAX``, in bytes of UTF-8.
_NAME_MAX: Final = 200
_SHOWN: Final = 40


def task_id_in(request: Request, key: str = "id") -> bytes:
    """
    Return the task id in *request*.

    Raises:
        StemError: If it is not exactly 16 bytes.
    """
    return _task_id(request.get(key), key)


def task_ids_in(request: Request, key: str = "ids") -> list[bytes]:
    """
    Return a list of task ids, at most 10,000.

    Raises:
        StemError: If it is no such list.
    """
    found = request.get(key)
    if not isinstance(found, list) or len(found) > _IDS_MAX:
        raise StemError(f"{key!r} must be a list of at most {_IDS_MAX:,} task ids")
    return [_task_id(it, key) for it in found]


def number_in(
    request: Request, key: str, *, default: int | None = None, most: int = 2**62
) -> int:
    """
    Return a number in 0..*most*.

    Raises:
        StemError: If it is none, or missing without a *default*.
    """
    found = request.get(key)
    if found is None and default is not None:
        return default
    if type(found) is not int or not 0 <= found <= most:
        raise StemError(f"{key!r} must be a number in 0..{most:,}, not {_show(found)}")
    return found


def text_in(request: Request, key: str, *, default: str, most: int) -> str:
    """
    Return a text, cut off after *most* characters; *default* if it is empty.

    Raises:
        StemError: If it is no text.
    """
    found = request.get(key)
    if found is not None and not isinstance(found, str):
        raise StemError(f"{key!r} must be text, not {_show(found)}")
    return (found or default)[:most]


def queue_in(request: Request, key: str = "queue") -> str:
    """
    Return the name of a queue.

    Raises:
        StemError: If it is no text of 1 to 200 bytes.
    """
    found = request.get(key)
    if not isinstance(found, str) or not 0 < len(found.encode()) <= _NAME_MAX:
        raise StemError(
            f"{key!r} must be a queue name of at most {_NAME_MAX} bytes, not "
            f"{_show(found)}"
        )
    return found


def _task_id(found: object, key: str) -> bytes:
    if not isinstance(found, bytes) or len(found) != _ID_BYTES:
        raise StemError(
            f"{key!r} must be task ids of {_ID_BYTES} bytes, not {_show(found)}"
        )
    return found


def _show(found: object) -> str:
    if isinstance(found, bytes | str | list | dict):
        return f"{type(found).__name__} of length {len(found)}"
    return repr(found)[:_SHOWN]
