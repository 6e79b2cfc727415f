"""News: events as the core tells them, see ``native/sa_news.h``."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from stem_actor.errors import RingCorrupt

__all__ = ["NO_WORKER", "News", "NewsType", "pack_news", "split_news", "unpack_news"]

_HEAD: Final = struct.Struct("<IHH16sqQIIIIHHI")
_TYPE: Final = struct.Struct("<IHH16s")
_NO_ID: Final = bytes(16)

NO_WORKER: Final = 0xFFFFFFFF
"""``News.worker`` of what happened in no worker."""


class NewsType:
    """The numbers of ``enum sa_news_type``."""

    RECEIVED: Final = 1
    STARTED: Final = 2
    SUCCEEDED: Final = 3
    FAILED: Final = 4
    RETRIED: Final = 5
    CANCELLED: Final = 6
    EXPIRED: Final = 7
    REPLAYED: Final = 8
    TIMEOUT: Final = 9
    PROGRESS: Final = 10
    HEARTBEAT: Final = 11
    RUN_ENDED: Final = 12
    WORKER_READY: Final = 16
    WORKER_STOPPING: Final = 17
    WORKER_STOPPED: Final = 18
    WORKER_DIED: Final = 19


class News(NamedTuple):
    """One event in its wire form; times and durations are nanoseconds."""

    type: int
    kind: int
    task_id: bytes
    at_ns: int
    value: int
    attempt: int
    starts: int
    worker: int
    pid: int
    queue: str
    name: str
    payload: bytes


def split_news(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """
    Yield type, task id and bytes of each piece of news in *data*.

    Raises:
        RingCorrupt: If a length does not fit.
    """
    at, end = 0, len(data)
    while at < end:
        if end - at < _HEAD.size:
            raise RingCorrupt(f"{end - at} bytes are left of a piece of news")
        size, kind, _, task_id = _TYPE.unpack_from(data, at)
        if not _HEAD.size <= size <= end - at:
            raise RingCorrupt(f"a piece of news claims {size} of {end - at} bytes")
        yield kind, task_id, data[at : at + size]
        at += size


def unpack_news(record: bytes) -> News:
    """
    Return the news in one *record* of ``split_news``.

    Raises:
        RingCorrupt: If a length does not fit.
    """
    f = _HEAD.unpack_from(record)
    queue_at = _HEAD.size
    name_at = queue_at + f[10]
    body_at = name_at + f[11]
    if body_at + f[12] > len(record):
        raise RingCorrupt("the lengths in a piece of news do not add up")
    names = record[queue_at:name_at].decode(), record[name_at:body_at].decode()
    return News._make((*f[1:10], *names, record[body_at : body_at + f[12]]))


def pack_news(
    kind: int, *, at_ns: int, worker: int, pid: int, payload: bytes = b""
) -> bytes:
    """Return the record of something that happened to a worker."""
    size = _HEAD.size + len(payload)
    padding = -size % 8
    head = _HEAD.pack(
        size + padding, kind, 0, _NO_ID, at_ns, 0, 0, 0, worker, pid, 0, 0, len(payload)
    )
    return head + payload + bytes(padding)
