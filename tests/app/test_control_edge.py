"""Whatever is sent to the control socket, its answer is an answer."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import pytest

from stem_actor import StemApp

GARBAGE: dict[str, dict[str, Any]] = {
    "an id of no bytes": {"op": "status", "id": b""},
    "a short id": {"op": "status", "id": b"abc"},
    "an id that is a size": {"op": "status", "id": 2 * 10**9},
    "an id that is text": {"op": "status", "id": "x" * 16},
    "no id": {"op": "status"},
    "an id that is a list": {"op": "wait", "id": list(range(16))},
    "a short id to wait for": {"op": "wait", "id": b"abc"},
    "a short id to revoke": {"op": "revoke", "id": b"a"},
    "a reason that is no text": {"op": "revoke", "id": bytes(16), "reason": 5},
    "a short id of a dead letter": {"op": "dead.get", "id": b"a"},
    "ids that are a size": {"op": "dead.remove", "ids": [3 * 10**9]},
    "ids that are none": {"op": "dead.remove", "ids": 7},
    "too large a limit": {"op": "dead.list", "limit": 2**63},
    "a negative limit": {"op": "dead.list", "limit": -1},
    "a list of an unknown state": {"op": "list", "state": [1]},
    "a list with a huge limit": {"op": "list", "limit": 2**63},
    "a queue that is a number": {"op": "list", "queue": 5},
    "a queue that is a map": {"op": "purge", "queue": {"a": 1}},
    "a queue that is too long": {"op": "pause", "queue": "x" * 5000, "paused": True},
    "a ring that is none": {"op": "attach", "ring": 2**40},
    "a deadline that is text": {"op": "stop", "deadlineNs": "x"},
    "types of events that are text": {"op": "events", "types": "all"},
    "ids of events that are short": {"op": "events", "types": 1, "ids": [b"x"]},
    "an unknown verb": {"op": "nope"},
}
PACKETS = {
    "no MessagePack": b"\xc1\xc1",
    "no map": b"\x93\x01\x02\x03",
    "a map without a verb": b"\x81\xa3seq\x01",
    "too deep": b"\x91" * 100_000,
}


def ask(app: StemApp, packet: bytes) -> dict[str, Any]:
    """Send one packet on a connection of its own; return the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(30)
        line.connect(str(app.directory.socket))
        line.send(packet)
        answer: dict[str, Any] = msgspec.msgpack.decode(line.recv(1 << 18))
    return answer


@pytest.mark.parametrize("which", GARBAGE)
def test_a_request_that_makes_no_sense_gets_an_error(which: str, app: StemApp) -> None:
    epoch = app.stats()["epoch"]

    answer = ask(app, msgspec.msgpack.encode({"seq": 7, **GARBAGE[which]}))

    assert answer["seq"] == 7
    assert answer["error"] == "StemError"
    assert len(answer["message"]) < 300
    assert app.stats()["epoch"] == epoch


@pytest.mark.parametrize("which", PACKETS)
def test_a_packet_of_no_protocol_gets_an_error(which: str, app: StemApp) -> None:
    answer = ask(app, PACKETS[which])

    assert answer["seq"] == 0
    assert answer["error"]
    assert app.enqueue("add", {"a": 1, "b": 2}).result(timeout=30) == 3
