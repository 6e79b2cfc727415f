"""Well-formed inputs from which the fuzzer starts; one list for each target."""

from __future__ import annotations

import msgpack

from tests.ring.claims import group, rate, unique
from tests.ring.peers import Task

TASKS = [
    Task(body=b"body", priority=9).record(),
    Task(queue="q" * 200, name="n" * 200, expires_ns=1, not_before_ns=2).record(),
    Task(claims=group(1, 1) + rate(1, 4096) + unique(1, 2**40), body=b"body").record(),
    Task(claims=group(2, 2, 1, is_closed=True)).record(),
    Task(body=bytes(3000), soft_ns=2**63, hard_ns=2**64 - 1, deadline_ns=1).record(),
]
VALUES = [
    msgpack.packb(value)
    for value in (None, 1, -(2**40), 1.5, "text", b"bytes", list(range(40)))
]
VALUES += [msgpack.packb({"a": [{"b": {}}, "x" * 300]}), b"\xdd\xff\xff\xff\xff"]
# Two position bytes, a byte that says "repair the checksum", then the ring.
RINGS = [
    bytes([0, 8, 1])
    + len(body).to_bytes(4, "little")
    + bytes(4)
    + b"\1"
    + bytes(23)
    + body
    for body in (b"", b"x" * 31, b"y" * 96)
]
HEADS = [bytes([which]) + bytes(200) for which in range(4)]

SEEDS = {
    "record_parse": RINGS,
    "attach": HEADS,
    "task_check": TASKS,
    "prescan": VALUES,
}
