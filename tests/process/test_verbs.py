"""The wire form, and that C and Python agree on it."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from stem_actor.actor.tree import verbs
from stem_actor.actor.tree.verbs import Message, Verb, ZygoteNews

HEADER = Path(__file__).parents[2] / "native" / "guardian.h"


def test_a_message_is_64_bytes_and_comes_back_whole() -> None:
    message = Message(Verb.DIED, 1, 2, 3, 4, -5, 6, 7, 8, 2**64 - 1)

    assert len(message.pack()) == 64
    assert Message.unpack(message.pack()) == message


@pytest.mark.parametrize("packet", [b"", bytes(63), bytes(65), bytes(64)])
def test_what_is_no_message_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r"64 bytes|not a valid Verb"):
        Message.unpack(packet)


def test_the_header_of_the_guardian_has_the_same_numbers() -> None:
    text = HEADER.read_text()

    theirs = dict(re.findall(r"SA_VERB_(\w+) = (\d+)", text))
    news = [int(number) for number in re.findall(r"SA_ZYGOTE_\w+ = (\d+)", text)]
    assert {verb.name: str(int(verb)) for verb in Verb} == theirs
    assert [int(it) for it in ZygoteNews] == news
    names = re.search(r"struct sa_message \{(.*?)\};", text, re.DOTALL)
    assert names is not None
    found = re.findall(r"(\w+)(?=[;,])", re.sub(r"/\*.*?\*/", "", names[1]))
    assert found == [*Message.__slots__, "reserved"]


def test_a_descriptor_travels_along_and_is_closed_on_exec() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    event = os.eventfd(7)
    with left, right:
        verbs.send(left, Message(Verb.FORK), fd=event)
        heard = verbs.receive(right)

        assert heard is not None
        assert heard[0].verb is Verb.FORK
        assert os.eventfd_read(heard[1]) == 7
        assert not os.get_inheritable(heard[1])
        os.close(heard[1])
        os.close(event)
        left.close()
        assert verbs.receive(right) is None
