"""The commands that look at a running ring and steer it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.cli.terminal import TIMEOUT_S, Terminal, end, first_line

ENQUEUE = "import shop; h = shop.{call}; print(h.id)"
FINISH = "import shop; h = shop.{call}; h.wait(30); print(h.id)"


def enqueue(shop: Terminal, call: str) -> str:
    """Enqueue from another process and return the id."""
    return shop.python(ENQUEUE.format(call=call))


def finish(shop: Terminal, call: str) -> str:
    """The same, and wait until it has ended."""
    return shop.python(FINISH.format(call=call))


@contextmanager
def stopped(shop: Terminal) -> Iterator[None]:
    """Hold every worker and the supervisor for the time of the block."""
    status = shop.run("status", "--app", "shop:app", "--json").json
    pids = [status["supervisor"], *(it["pid"] for it in status["workers"] if it["pid"])]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_ring_is_found_by_its_app_and_by_its_path(shop: Terminal) -> None:
    finish(shop, "add.enqueue(1, 2)")

    by_app = shop.run("status", "--app", "shop:app", "--json")
    by_path = shop.run("status", "--ring", shop.ring, "--json")
    text = shop.run("status", "--ring", shop.ring)

    assert (by_app.json["succeeded"], by_path.json["succeeded"]) == (1, 1)
    assert "succeeded     1" in text.out
    assert "\x1b" not in text.out


def test_a_wrong_ring_name_is_answered_with_those_that_run(shop: Terminal) -> None:
    (shop.folder / "another").mkdir()

    answer = shop.run("status", "--ring", shop.folder / "rnig")

    assert answer.code == 70
    assert answer.err == (
        f"stem-actor: no supervisor runs the ring at {shop.folder}/rnig; "
        "these run there: ring\n"
    )


def test_every_reading_command_speaks_json(shop: Terminal) -> None:
    task = finish(shop, "add.enqueue(1, 2)")
    dead = finish(shop, "fail.enqueue('because')")
    target = ("--app", "shop:app", "--json")

    assert shop.run("health", *target).json == {
        "ok": True,
        "problems": [],
        "workers": 2,
    }
    assert shop.run("queues", "list", *target).json["queues"][0]["queue"] == "default"
    assert shop.run("tasks", "show", task, *target).json["payload"] == 3
    assert shop.run("dlq", "show", dead, *target).json["body"] == {"why": "because"}
    assert shop.run("dlq", "list", *target).json["total"] == 1
    assert shop.run("top", *target).json["counters"]["finished"] == 2


def test_top_works_while_every_process_is_stopped(shop: Terminal) -> None:
    enqueue(shop, "wait_for.with_options(countdown=600).enqueue('x')")

    with stopped(shop):
        text = shop.run("top", "--once", "--ring", shop.ring)
        facts = shop.run("top", "--json", "--ring", shop.ring).json

    assert text.code == 0
    assert "stopped" in text.out
    row = next(it for it in facts["tasks"] if it["name"] == "shop.wait_for")
    assert row["counts"]["delayed"] == 1
    assert {it["process"] for it in facts["workers"]} == {"stopped"}
    assert facts["process"].endswith(" stopped")


def test_a_stopped_supervisor_is_red_and_one_line_elsewhere(shop: Terminal) -> None:
    with stopped(shop):
        health = shop.run("health", "--ring", shop.ring)
        status = shop.run("status", "--ring", shop.ring)

    assert (health.code, status.code) == (70, 70)
    assert health.out.startswith("red: the supervisor is stopped: process ")
    assert status.err.startswith("stem-actor: the supervisor is stopped: process ")
    assert status.err.count("\n") == 1


def test_a_paused_queue_starts_nothing_until_it_is_resumed(shop: Terminal) -> None:
    target = ("--app", "shop:app")
    finish(shop, "add.enqueue(1, 2)")

    paused = shop.run("queues", "pause", "default", *target)
    task = enqueue(shop, "add.enqueue(3, 4)")
    waiting = shop.run("tasks", "show", task, *target, "--json").json
    resumed = shop.run("queues", "resume", "default", *target)
    finish(shop, "add.enqueue(5, 6)")  # behind it in the same queue

    done = shop.run("tasks", "show", task, *target, "--json").json
    assert (paused.code, resumed.code) == (0, 0)
    assert (
        waiting["state"], waiting["meta"]["waiting"],
    ) == ("queued", "queue 'default' is paused")  # fmt: skip
    assert done["payload"] == 7


def test_an_unknown_queue_names_those_there_are(shop: Terminal) -> None:
    finish(shop, "add.enqueue(1, 2)")

    for verb in ("pause", "resume", "purge"):
        answer = shop.run("queues", verb, "nope", "--app", "shop:app")

        assert (answer.code, answer.out) == (70, "")
        assert answer.err == (
            "stem-actor: the ring has no queue 'nope'; it has: default\n"
        )


def test_a_purged_queue_cancels_what_waits(shop: Terminal) -> None:
    task = enqueue(shop, "wait_for.with_options(countdown=600).enqueue('x')")

    purged = shop.run("queues", "purge", "slow", "--app", "shop:app")

    status = shop.run("tasks", "show", task, "--app", "shop:app", "--json").json
    assert purged.out == "1 tasks of slow cancelled\n"
    assert (status["state"], status["meta"]["reason"]) == ("cancelled", "purged")


def test_a_task_is_revoked_and_a_running_one_only_with_terminate(
    shop: Terminal,
) -> None:
    target = ("--app", "shop:app")
    later = enqueue(shop, "wait_for.with_options(countdown=600).enqueue('x')")
    running = shop.python(
        "import shop, time\n"
        "h = shop.wait_for.enqueue('x')\n"
        "end = time.monotonic() + 30\n"
        "while h.status().state != 'running': assert time.monotonic() < end\n"
        "print(h.id)"
    )

    first = shop.run("tasks", "revoke", later, *target, "--reason", "not now")
    refused = shop.run("tasks", "revoke", running, *target)
    ended = shop.run("tasks", "revoke", running, *target, "--terminate")

    kept = shop.run("tasks", "show", later, *target, "--json").json
    assert (first.code, refused.code, ended.code) == (0, 70, 0)
    assert "it is running; --terminate ends it" in refused.err
    assert (kept["state"], kept["meta"]["reason"]) == ("cancelled", "not now")


def test_tasks_are_listed_the_latest_first_by_state_and_queue(shop: Terminal) -> None:
    target = ("--app", "shop:app", "--json")
    done = finish(shop, "add.enqueue(1, 2)")
    dead = finish(shop, "fail.enqueue('because')")
    running = enqueue(shop, "wait_for.enqueue('asked')")
    wait_until_running(shop, running)
    later = enqueue(shop, "wait_for.with_options(countdown=600).enqueue('x')")

    def ids(*options: object) -> list[str]:
        answer = shop.run("tasks", "list", *options, *target).json
        return [it["id"] for it in answer["tasks"]]

    every = shop.run("tasks", "list", *target).json
    text = shop.run("tasks", "list", "--ring", shop.ring).out
    two = shop.run("tasks", "list", "--limit", 2, *target).json
    states = [ids("--state", state) for state in ("running", "queued", "failed")]
    slow = ids("--state", "succeeded", "--queue", "slow")
    default = ids("--queue", "default")
    (shop.folder / "asked").touch()  # else the drain gives it its whole grace

    assert [it["id"] for it in every["tasks"]] == [later, running, dead, done]
    assert (every["isWhole"], two["isWhole"]) == (True, False)
    assert [it["id"] for it in two["tasks"]] == [later, running]
    assert every["tasks"][0]["waiting"] == "its time has not come"
    assert all(it["created"] for it in every["tasks"])
    assert states == [[running], [later], [dead]]
    assert (slow, default) == ([], [dead, done])
    assert text.splitlines()[-1] == "4 tasks"
    assert f"{later}  shop.wait_for  slow" in text


def test_a_dead_letter_is_replayed_once_under_a_new_id(shop: Terminal) -> None:
    target = ("--app", "shop:app")
    dead = finish(shop, "fail.enqueue('because')")

    plan = shop.run("dlq", "replay", "--dry-run", *target)
    before = shop.run("dlq", "list", *target, "--json").json
    replayed = shop.run("dlq", "replay", dead, *target, "--json").json["replayed"]
    again = shop.run("dlq", "replay", dead, *target)

    assert "1 would be enqueued again; nothing was done" in plan.out
    assert [dead] == [it["id"] for it in before["letters"]]
    assert [dead] == list(replayed)
    assert replayed[dead] != dead
    assert (again.code, again.err.count("\n")) == (70, 1)
    finish(shop, "add.enqueue(1, 2)")  # behind the replayed one
    after = shop.run("dlq", "list", *target, "--json").json
    assert [replayed[dead]] == [it["id"] for it in after["letters"]]


def test_large_arguments_are_shown_and_survive_a_replay(shop: Terminal) -> None:
    target = ("--app", "shop:app", "--json")
    dead = finish(shop, "fail.enqueue('x' * 200_000)")

    shown = shop.run("dlq", "show", dead, *target).json
    (new,) = shop.run("dlq", "replay", dead, *target).json["replayed"].values()
    finish(shop, "add.enqueue(1, 2)")  # behind the replayed one
    again = shop.run("dlq", "show", new, *target).json

    assert shown["body"] == again["body"] == {"why": "x" * 200_000}
    assert again["error"]["message"] == shown["error"]["message"]


def test_replay_takes_all_of_a_queue_and_purge_empties_it(shop: Terminal) -> None:
    target = ("--app", "shop:app")
    dead = {finish(shop, "fail.enqueue('because')") for _ in range(2)}

    none = shop.run("dlq", "replay", "--queue", "slow", *target, "--json").json
    every = shop.run(
        "dlq", "replay", "--queue", "default", "--limit", 2, *target, "--json"
    )
    finish(shop, "fail.enqueue('too')")
    purged = shop.run("dlq", "purge", *target)

    assert none == {"replayed": {}}
    assert dead == set(every.json["replayed"])
    assert purged.out == "3 entries removed\n"


def test_a_second_worker_is_refused_with_the_first_ones_pid(shop: Terminal) -> None:
    owner = shop.run("status", "--app", "shop:app", "--json").json["supervisor"]

    answer = shop.run("worker", "shop:app")

    assert answer.code == 70
    assert answer.err == (
        f"stem-actor: the ring at {shop.ring} is run by process {owner}; "
        "stop that process, or attach to the ring as a producer\n"
    )


def test_sigterm_lets_the_running_task_finish_and_keeps_the_rest(
    terminal: Terminal,
) -> None:
    flag = terminal.folder / "flag"
    with terminal.worker() as first:
        running = enqueue(terminal, f"wait_for.enqueue({str(flag)!r})")
        later = enqueue(terminal, "add.with_options(countdown=600).enqueue(1, 2)")
        wait_until_running(terminal, running)
        first.terminate()
        flag.touch()
        first.wait(TIMEOUT_S)
        left = terminal.run("status", "--app", "shop:app")
    with terminal.worker():
        target = ("--app", "shop:app", "--json")
        done = terminal.run("tasks", "show", running, *target).json
        kept = terminal.run("tasks", "show", later, *target).json

    assert (first.returncode, left.code) == (0, 70)
    assert (done["state"], done["payload"], done["starts"]) == ("succeeded", "seen", 1)
    assert kept["state"] == "queued"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_ends_at_once(
    terminal: Terminal, second: signal.Signals
) -> None:
    with terminal.worker() as process:
        running = enqueue(terminal, "wait_for.enqueue('never')")
        wait_until_running(terminal, running)

        process.terminate()
        deadline = time.monotonic() + 8  # the grace is 10 s
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(second)  # again: two of a kind that wait become one
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)

        assert process.poll() == 0


def test_a_worker_names_the_ring_and_ends_the_line_when_it_is_ready(
    terminal: Terminal,
) -> None:
    terminal.write_shop()
    other = terminal.folder / "other"
    process = terminal.start("worker", "shop:app", "--workers", 2, "--name", f"{other}")

    line = first_line(process)
    answer = terminal.run("status", "--ring", other, "--json")
    process.terminate()
    end(process)

    assert line == f"stem-actor: 2 workers of shop:app, ring {other}: ready\n"
    assert len(answer.json["workers"]) == 3  # the spare too
    assert process.returncode == 0


def test_a_worker_of_some_queues_leaves_the_others_alone(terminal: Terminal) -> None:
    target = ("--app", "shop:app", "--json")
    (terminal.folder / "flag").touch()

    with terminal.worker("--queues", "slow, mail"):
        other = enqueue(terminal, "add.enqueue(1, 2)")
        finish(terminal, "wait_for.enqueue('flag')")
        left = terminal.run("tasks", "show", other, *target).json

    assert left["state"] == "queued"


def wait_until_running(terminal: Terminal, task_id: str) -> None:
    """Return when a worker has started the task."""
    terminal.python(
        "import shop, time\n"
        "end = time.monotonic() + 30\n"
        f"while shop.app.status({task_id!r}).state != 'running':\n"
        "    assert time.monotonic() < end"
    )
