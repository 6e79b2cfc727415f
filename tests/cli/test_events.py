"""``stem-actor events``: what it prints while it runs, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stem_actor.ring.directory import RingDirectory
from tests.app.killing import kill_owner
from tests.cli.terminal import TIMEOUT_S, Terminal, first_line

ADD = "import shop; h = shop.add.enqueue(1, 2); h.result(30); print(h.id)"
FAIL = "import shop; h = shop.fail.enqueue('no luck'); h.wait(30); print(h.id)"
LIFE = ["task-received", "task-prerun", "task-succeeded", "task-postrun"]


@contextmanager
def listening(shop: Terminal, *options: object) -> Iterator[subprocess.Popen[str]]:
    """Run the command for the time of the block; Ctrl-C has to end it in peace."""
    process = shop.start("events", "--ring", shop.ring, *options)
    try:
        assert first_line(process).startswith("listening")
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_events_are_printed_as_json_while_they_happen(shop: Terminal) -> None:
    with listening(shop, "--json") as process:
        id_ = shop.python(ADD)
        events: list[dict[str, Any]] = [json.loads(it) for it in lines(process, 4)]

    assert [it["event"] for it in events] == LIFE
    assert {it["task_id"] for it in events} == {id_}
    assert events[1]["pid"] == events[2]["pid"] > 0
    assert events[3]["state"] == "succeeded"


def test_events_are_lines_for_people(shop: Terminal) -> None:
    with listening(shop, "--type", "task-failed") as process:
        shop.python(ADD)
        id_ = shop.python(FAIL)
        [line] = lines(process, 1)

    assert f"task-failed {id_} shop.fail attempt=0" in line
    assert "error=RuntimeError: no luck" in line


def test_one_task_can_be_followed(shop: Terminal) -> None:
    later = "import shop; print(shop.add.with_options(countdown=2).enqueue(1, 2).id)"
    id_ = shop.python(later)
    with listening(shop, "--json", "--task", id_) as process:
        shop.python(ADD)
        events = [json.loads(it) for it in lines(process, 3)]

    assert [it["event"] for it in events] == LIFE[1:]
    assert {it["task_id"] for it in events} == {id_}


def test_it_goes_on_after_the_supervisor_was_killed(shop: Terminal) -> None:
    ring = RingDirectory(shop.ring, is_anonymous=False)
    with listening(shop, "--json", "--type", "task-succeeded") as process:
        kill_owner(ring)
        [gap] = [json.loads(it) for it in lines(process, 1)]
        id_ = shop.python(ADD)
        [event] = [json.loads(it) for it in lines(process, 1)]

    assert (gap["event"], gap["count"]) == ("events-dropped", None)
    assert event["task_id"] == id_


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--ring", "nobody-runs-it"], 70, "no supervisor runs the ring"),
        (["--ring", "x", "--task", "7"], 64, "not a task id"),
        (["--ring", "x", "--type", "nonsense"], 64, "task-failed"),
    ],
)
def test_a_mistake_is_one_line(
    terminal: Terminal, options: list[str], code: int, text: str
) -> None:
    answer = terminal.run("events", *options)

    assert (answer.code, answer.out) == (code, "")
    assert text in answer.err
    assert answer.err.count("\n") == 1
